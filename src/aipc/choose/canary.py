"""A canary: does an accelerator compute the tokens that the CPU would?

Vendors' accelerators have computed nonsense without any error.  Before a model is trusted to
one, it continues a few prompts greedily there, and for every token the CPU computes whether it
would have come next, given the tokens before it.  So one near-tie that falls the other way costs
one token, not all that follow it; a device that computes nonsense agrees on next to none.  Both
phases are tried: the prompt's, and token by token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aipc.errors import DeviceError
from aipc.progress import Notify
from aipc.records import JsonCache, Misfit, plain, read
from aipc.runtimes.base import Decoding, Engine

TOKENS = 8
"""Of each answer."""
ENOUGH = 0.5
"""Share of tokens that have to agree.  Measured on the emulated NPU with each side's own number
formats (bf16), of 16 tokens: fp16 and int8 16, int4 14, NNCF's int4 of whole rows 13.  A device
that computes nonsense agrees on next to none."""
PROMPTS = (
    "What is the capital of France?",
    "Count from one to twenty in words, separated by commas.",
)
REVISION = 1
"""Of this check: one more when earlier results no longer count."""

_NOTHING: frozenset[int] = frozenset()


@dataclass(frozen=True)
class CanaryResult:
    """How many tokens of ``tokens`` the CPU would have chosen as well."""

    agreed: int
    tokens: int

    @property
    def passed(self) -> bool:
        return self.agreed >= ENOUGH * self.tokens


def compare(
    engine: Engine, open_reference: Callable[[], Engine], prompts: Sequence[Sequence[int]]
) -> CanaryResult:
    """Have ``engine`` continue ``prompts`` (token ids) and the reference check every token.

    The reference is opened after ``engine`` is done, and closed again.

    Raises:
        AipcError: one of them can't be run.
    """
    answers = [list(engine.start(prompt, Decoding(TOKENS), _NOTHING)) for prompt in prompts]
    reference = open_reference()
    try:
        agreed = sum(
            _next(reference, [*prompt, *answer[:at]]) == token
            for prompt, answer in zip(prompts, answers, strict=True)
            for at, token in enumerate(answer)
        )
    finally:
        reference.close()
    return CanaryResult(agreed, sum(len(answer) for answer in answers))


def _next(engine: Engine, tokens: Sequence[int]) -> int | None:
    return next(iter(engine.start(tokens, Decoding(1), _NOTHING)), None)


class Canary:
    """The check of one model on one device, with its result kept.

    ``identity`` is everything that the result holds for: the model's hash, the device, its
    driver, the versions, the properties.  Only a pass is kept, in ``folder``; a device that
    disagreed is checked again the next time.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._identity = {**identity, "canary": REVISION}
        self._cache = JsonCache(folder)

    def check(
        self,
        engine: Engine,
        open_reference: Callable[[], Engine],
        prompts: Sequence[Sequence[int]],
        notify: Notify,
    ) -> CanaryResult:
        """The result, kept or new.

        Raises:
            DeviceError: the device disagrees with the CPU.
            AipcError: the check could not be made.
        """
        kept = self._kept()
        if kept is not None:
            return kept
        notify(f"comparing {engine.device} with the CPU (once for this model and driver)")
        result = compare(engine, open_reference, prompts)
        if not result.passed:
            raise DeviceError(
                f"{engine.device} computes this model wrongly: of {result.tokens} tokens the CPU "
                f"would have chosen {result.agreed}",
                "update its driver, take --device cpu, or trust it all the same with --no-canary",
            )
        self._cache.keep(self._identity, plain(result))
        return result

    def _kept(self) -> CanaryResult | None:
        """None where nothing usable is kept."""
        with suppress(Misfit):
            kept = read(CanaryResult, self._cache.find(self._identity))
            if kept.tokens > 0 and kept.passed:
                return kept
        return None
