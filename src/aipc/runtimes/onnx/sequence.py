"""Sequences of tokens in the vendor's cache: computed piece by piece, kept for what follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.artifact.providers import Provider
from aipc.errors import EngineError
from aipc.runtimes.vendor_errors import translated


class CachedSequence:
    """One ``og.Generator`` with room for ``capacity`` tokens, and the tokens in its cache.

    ONNX Runtime GenAI's Python binding holds the interpreter's lock while it computes, so a
    prompt is given in pieces: other threads run, and a request can be cancelled, between them.
    """

    def __init__(
        self, generator: Any, capacity: int, provider: Provider, switch: int | None
    ) -> None:
        self.capacity = capacity
        self.tokens: list[int] = []
        self.adapter = ""
        """The name of the one that they were computed with."""
        self._generator = generator
        self._factors: Mapping[str, npt.NDArray[np.float32]] = {}
        self._provider = provider
        self._switch = switch

    def adapt(self, name: str, factors: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Give the graph, before anything is computed, the inputs that an adapter is."""
        self.adapter, self._factors = name, factors  # the generator has no copy
        for each, array in factors.items():
            self._generator.set_model_input(each, array)

    def append(self, tokens: Sequence[int], is_cancelled: Callable[[], bool]) -> bool:
        """Compute ``tokens`` after those in the cache; False where it was cancelled before."""
        pending = list(tokens)
        size = self._piece(len(pending))
        if self._crosses(len(pending)):
            pending = self.tokens + pending
            self.rewind(0)
            size = len(pending)
        for start in range(0, len(pending), size):
            if is_cancelled():
                return False
            self._compute(pending[start : start + size])
        return True

    def score(self, tokens: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        """Compute ``tokens`` in an empty cache: scores [places, vocabulary] of each piece."""
        size = len(tokens) if self._crosses(len(tokens)) else self._piece(len(tokens))
        for start in range(0, len(tokens), size):
            self._compute(list(tokens[start : start + size]))
            yield self._generator.get_output("logits")[0].astype(np.float32)

    def logits(self) -> npt.NDArray[np.float32]:
        """Scores [vocabulary] of what may follow the last token."""
        scores: npt.NDArray[np.float32] = self._generator.get_logits()[0, -1]
        return scores

    def rewind(self, length: int) -> None:
        """Forget all but the first ``length`` tokens."""
        if length == len(self.tokens):
            return
        self._generator.rewind_to(length)
        del self.tokens[length:]

    def reusable(self, prompt: Sequence[int]) -> int:
        """How many of the cached tokens ``prompt`` begins with and leaves one to compute after."""
        return reusable(self.tokens, prompt, self._switch)

    def _piece(self, count: int) -> int:
        return (
            even_piece(count, self._provider.piece) if self._provider.continues else max(count, 1)
        )

    def _crosses(self, count: int) -> bool:
        return crosses(len(self.tokens), count, self._switch)

    def _compute(self, tokens: list[int]) -> None:
        if self.tokens and not self._provider.continues:
            self._force(tokens)
        else:
            self._generator.append_tokens(tokens)
        self.tokens += tokens

    def _force(self, tokens: list[int]) -> None:
        """Make the vendor's greedy search choose these: the way where nothing can be appended."""
        for token in tokens:
            scores = np.full_like(self._generator.get_logits(), -np.inf)
            scores[0, -1, token] = 0
            self._generator.set_logits(scores)
            self._generator.generate_next_token()
            if self._generator.is_done():
                raise EngineError(
                    f"the model's own settings end every answer at token {token}",
                    "add it to the stop ids of generation_config.json",
                )


def reusable(held: Sequence[int], prompt: Sequence[int], switch: int | None) -> int:
    """How many of the ``held`` tokens ``prompt`` begins with and leaves one to compute after."""
    if switch and (len(held) > switch) != (len(prompt) > switch):
        return 0
    return next(
        (
            at
            for at, (one, other) in enumerate(zip(held, prompt[:-1], strict=False))
            if one != other
        ),
        min(len(held), len(prompt) - 1),
    )


def crosses(held: int, count: int, switch: int | None) -> bool:
    """Whether ``count`` tokens after ``held`` lead past the rotary switch, so that all change."""
    return switch is not None and held <= switch < held + count


def even_piece(count: int, most: int) -> int:
    """Tokens a call: even pieces, as the CPU's kernels round fewer than 8 otherwise."""
    pieces = max(math.ceil(count / most), 1)
    return max(math.ceil(count / pieces), 1)


def checked_scores(
    pieces: Iterator[npt.NDArray[np.float32]], count: int
) -> Iterator[npt.NDArray[np.float32]]:
    """The scores of ``count`` tokens in ``pieces``, as they come.

    Raises:
        EngineError: the vendor's runtime failed, or its graph gives the last position alone.
    """
    places = 0
    with translated("ONNX Runtime failed while scoring"):
        for scores in pieces:
            places += len(scores)
            yield scores
    if places != count:
        raise EngineError(
            f"the model gives {places:,} rows of scores for {count:,} tokens",
            "its graph was made to answer only; convert the model with aipc",
        )
