"""A runtime without a model: scripted or seeded tokens, for tests of what stands above.

It keeps every promise of aipc.runtimes.base, so a program that embeds aipc can be tested
with it: no download, no vendor package, the same tokens each time.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, cycle, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.artifact.lora import Factors
from aipc.errors import ArtifactError, DeviceError, EngineError, UsageError
from aipc.runtimes.base import Alternatives, Capabilities, Decoding, check_adapter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass
class FakeScorer:
    """Draws its scores by ``seed``; ``noise`` 0 to 1 blends in those of another seed.

    See `aipc.runtimes.base.Scorer`.
    """

    vocabulary: int = 260
    seed: int = 0
    noise: float = 0.0
    piece: int = 7
    """Rows of one piece."""
    scored: int = 0
    """Rows given so far."""
    closed: bool = False

    def __post_init__(self) -> None:
        self._scores = self._drawn(self.seed) + self.noise * self._drawn(self.seed + 1)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"runtime": "fake", "version": "1", "device": "CPU", "properties": {}}

    def logits(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        if self.closed:
            raise EngineError("the scorer is closed", "open another one")
        if not ids or not 0 <= min(ids) <= max(ids) < self.vocabulary:
            raise EngineError(f"the text needs tokens from 0 to {self.vocabulary - 1}")
        for start in range(0, len(ids), self.piece):
            rows = self._scores[list(ids[start : start + self.piece])]
            self.scored += len(rows)
            yield rows

    def close(self) -> None:
        self.closed = True

    def _drawn(self, seed: int) -> npt.NDArray[np.float32]:
        import numpy as np

        generator = np.random.default_rng(seed)
        return 2 * generator.standard_normal((self.vocabulary, self.vocabulary), np.float32)


@dataclass(frozen=True)
class FakeRequest:
    """One call of `FakeEngine.start`, kept in `FakeEngine.requests`."""

    prompt: tuple[int, ...]
    decoding: Decoding
    stop_ids: frozenset[int]


class FakeGeneration:
    """Yields what it was given, ``delay`` seconds a token, until it ends or is cancelled."""

    def __init__(
        self,
        tokens: Iterator[int],
        stop_ids: frozenset[int],
        delay: float,
        logprob: float | None = None,
        alternatives: int = 0,
    ) -> None:
        """``logprob`` is the one of every token; None where nobody asked.

        Of the ``alternatives``, as many a token, the chosen one is the first.
        """
        self._tokens = tokens
        self._stop_ids = stop_ids
        self._delay = delay
        self._logprob = logprob
        self._ended = threading.Event()
        self._alternatives = alternatives
        self.logprobs: list[float] = []
        self.top_logprobs: list[Alternatives] = []
        self.cached_tokens = 0

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if self._ended.wait(self._delay) if self._delay else self.ended:
            raise StopIteration
        try:
            token = next(self._tokens)
        except BaseException:
            self.cancel()
            raise
        if token in self._stop_ids:
            self.cancel()
        if self._logprob is not None:
            self.logprobs.append(self._logprob)
            ranked = [token, *(other for other in range(self._alternatives) if other != token)]
            top = ((one, self._logprob - at) for at, one in enumerate(ranked))
            self.top_logprobs.append(tuple(islice(top, self._alternatives)))
        return token

    def cancel(self) -> None:
        self._ended.set()


@dataclass
class FakeEngine:
    """An engine that answers with ``script``, and then with a stop id where one is known.

    Without a script the tokens are drawn from ``range(vocabulary)``: greedy ones follow
    from the prompt alone, sampled ones also from the seed.  A script is certain (logprobs of
    0), what is drawn is as likely as any other.  A constraint of a kind in ``constraints`` is
    taken, and it is the script that has to keep it.
    """

    script: Sequence[int] | None = None
    delay: float = 0.0
    """Seconds that each token takes."""
    concurrent: bool = True
    vocabulary: int = 256
    fails_after: int | None = None
    """Raise EngineError after this many tokens."""
    constraints: frozenset[str] = frozenset()
    device: str = "CPU"
    adapters: tuple[str, ...] = ()
    """Names of those that it was opened with; each has answers of its own."""
    requests: list[FakeRequest] = field(default_factory=list)
    generations: list[FakeGeneration] = field(default_factory=list)
    closed: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"runtime": "fake", "version": "1", "device": self.device, "properties": {}}

    def start(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> FakeGeneration:
        request = FakeRequest(tuple(prompt), decoding, stop_ids)
        with self._lock:
            self._refuse(request)
            logprob = self._logprob() if decoding.logprobs else None
            tokens = self._tokens(request)
            generation = FakeGeneration(
                tokens, stop_ids, self.delay, logprob, decoding.top_logprobs
            )
            self.requests.append(request)
            self.generations.append(generation)
        return generation

    def scores(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        if self.closed:
            raise EngineError("the engine is closed", "open another one")
        return FakeScorer(self.vocabulary).logits(ids)

    def close(self) -> None:
        with self._lock:
            self.closed = True
            for generation in self.generations:
                generation.cancel()

    def _refuse(self, request: FakeRequest) -> None:
        if self.closed:
            raise EngineError("the engine is closed", "open another one")
        if not request.prompt:
            raise EngineError("the prompt has no tokens", "give at least one")
        _capabilities(self.concurrent, self.constraints).check_decoding(request.decoding)
        check_adapter(request.decoding.adapter, self.adapters)
        if not self.concurrent and not all(running.ended for running in self.generations):
            raise EngineError(
                "this engine runs one generation at a time", "wait for the first or cancel it"
            )

    def _logprob(self) -> float:
        return -math.log(self.vocabulary) if self.script is None else 0.0

    def _tokens(self, request: FakeRequest) -> Iterator[int]:
        limit = request.decoding.max_new_tokens
        if self.fails_after is None:
            return islice(self._answer(request), limit)
        return islice(self._failing(self._answer(request), self.fails_after), limit)

    def _answer(self, request: FakeRequest) -> Iterator[int]:
        if self.script is None:
            return self._drawn(request)
        if request.stop_ids:
            return chain(self.script, repeat(min(request.stop_ids)))
        return cycle(self.script)

    def _drawn(self, request: FakeRequest) -> Iterator[int]:
        seed = request.decoding.seed if request.decoding.temperature > 0 else "greedy"
        asked = f"{seed} {request.prompt}{request.decoding.adapter}"
        source = random.Random(asked)  # noqa: S311 - must be repeatable
        while True:
            yield source.randrange(self.vocabulary)

    def _failing(self, tokens: Iterator[int], after: int) -> Iterator[int]:
        yield from islice(tokens, after)
        raise EngineError(f"the fake engine failed after {after} tokens, as it was set to")


@dataclass
class FakeRuntime:
    """Opens any folder; ``engines`` keeps what was opened."""

    script: Sequence[int] | None = None
    delay: float = 0.0
    concurrent: bool = True
    constraints: frozenset[str] = frozenset()
    engines: list[FakeEngine] = field(default_factory=list)
    name: str = "fake"
    kinds: frozenset[str] = frozenset({"cpu"})

    def capabilities(self, kind: str) -> Capabilities:  # noqa: ARG002 - it has one kind only
        return _capabilities(self.concurrent, self.constraints)

    def open(
        self,
        artifact: Path,
        device: str,
        properties: Mapping[str, str],
        adapters: Mapping[str, Factors] | None = None,
    ) -> FakeEngine:
        if not artifact.is_dir():
            raise ArtifactError(f"{artifact} is no folder", "name an artifact folder")
        if device.lower() not in self.kinds:
            raise DeviceError(f"the runtime 'fake' has no device '{device}'", "use cpu")
        if properties:
            raise UsageError(
                f"the runtime 'fake' does not know the property '{min(properties)}'", "leave it out"
            )
        engine = FakeEngine(
            self.script,
            self.delay,
            self.concurrent,
            constraints=self.constraints,
            device=device.upper(),
            adapters=tuple(adapters or ()),
        )
        self.engines.append(engine)
        return engine

    def scorer(self, artifact: Path, device: str, properties: Mapping[str, str]) -> FakeScorer:
        self.open(artifact, device, properties).close()  # refuses what `open` does
        return FakeScorer()


def _capabilities(concurrent: bool, constraints: frozenset[str]) -> Capabilities:
    return Capabilities(
        runtime="fake",
        formats=frozenset({"openvino", "fake"}),
        concurrent=concurrent,
        constraints=constraints,
        logprobs=True,
        logits=True,
        adapters=True,
    )
