"""Those that compete in a search, and what a bench has to do for it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aipc.choose.measured import SetupFigures, Work
from aipc.choose.setup import Setup
from aipc.measure.tune.candidates import Candidate
from aipc.measure.tune.goal import answer_seconds


@dataclass(frozen=True)
class SetupRun:
    """One answer, or as many at once as the work has streams; None is "not measured"."""

    first_token_s: float
    token_s: float
    """Mean of the tokens after the first."""
    tokens_per_s: float | None = None
    joules_per_token: float | None = None


class LoadedSetup(Protocol):
    """A setup that is loaded, in a process of its own, and has answered once."""

    @property
    def load_s(self) -> float: ...

    @property
    def cold_s(self) -> float:
        """The first prompt after loading, to its first token."""

    @property
    def nbytes(self) -> int: ...

    def run(self, tokens: int) -> SetupRun:
        """Answer with so many tokens; AipcError where that fails."""

    def close(self) -> None: ...


class Bench(Protocol):
    """Makes setups ready and measures them; the real one is `aipc.measure.tune.bench`."""

    def objection(self, setup: Setup) -> str:
        """Why it can't be tried on this machine, its memory above all; empty: it can."""

    def has_room(self, setup: Setup) -> bool:
        """Whether it fits beside what is loaded now."""

    def cost(self, setup: Setup) -> float:
        """Seconds that making its artifact will take, about; 0 where there is one."""

    def open(self, setup: Setup) -> LoadedSetup:
        """Convert where needed, and load; AipcError where that fails."""

    def kl(self, setup: Setup) -> float:
        """Divergence from the float model, in nats."""


@dataclass(eq=False)
class SetupParticipant:
    """A candidate and what is known of it by now."""

    candidate: Candidate
    loaded: LoadedSetup | None = None
    load_s: float | None = None
    cold_s: float | None = None
    nbytes: int = 0
    probes: list[SetupRun] = field(default_factory=list)
    """Short runs, the best of which ranks; ``runs`` are whole ones, which decide."""
    runs: list[SetupRun] = field(default_factory=list)
    kl: float | None = None

    @property
    def setup(self) -> Setup:
        return self.candidate.setup

    def open(self, bench: Bench) -> LoadedSetup:
        """Load it, where it is not loaded."""
        if self.loaded is None:
            self.loaded = bench.open(self.setup)
            self.load_s, self.cold_s = self.loaded.load_s, self.loaded.cold_s
            self.nbytes = self.loaded.nbytes
        return self.loaded

    def probe(self, bench: Bench, tokens: int) -> None:
        self.probes.append(self.open(bench).run(tokens))

    def close(self) -> None:
        loaded, self.loaded = self.loaded, None
        if loaded is not None:
            loaded.close()

    def figures(self, work: Work) -> SetupFigures:
        """Medians of the whole runs or, where there are none, of the probes."""
        return self._figures(self.runs or self.probes, work)

    def answer_s(self, work: Work) -> float:
        """Seconds that an answer takes, by `figures`."""
        return answer_seconds(self.figures(work), work)

    def figures_by_round(self, work: Work) -> list[SetupFigures]:
        """One for each whole run."""
        return [self._figures([run], work) for run in self.runs]

    def best_probe(self, work: Work) -> SetupFigures:
        """Of the quickest probe: what others do on the machine only ever slows one down."""
        return min(
            (self._figures([run], work) for run in self.probes),
            key=lambda figures: answer_seconds(figures, work),
        )

    def _figures(self, runs: Sequence[SetupRun], work: Work) -> SetupFigures:
        return SetupFigures(
            first_token_s=statistics.median(run.first_token_s for run in runs),
            token_s=statistics.median(run.token_s for run in runs),
            nbytes=self.nbytes,
            runs=len(runs),
            spread=_spread(runs, self.nbytes, work),
            tokens_per_s=_median([run.tokens_per_s for run in runs]),
            joules_per_token=_median([run.joules_per_token for run in runs]),
            kl=self.kl,
            load_s=self.load_s,
            cold_s=self.cold_s,
        )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _spread(runs: Sequence[SetupRun], nbytes: int, work: Work) -> float | None:
    if len(runs) < 2:
        return None
    whole = [
        answer_seconds(SetupFigures(run.first_token_s, run.token_s, nbytes), work) for run in runs
    ]
    return (max(whole) - min(whole)) / 2 / statistics.median(whole)
