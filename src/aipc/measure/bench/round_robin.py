"""The contest itself: who runs when, so that all see the same moments of a drifting machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aipc.devices.counters.energy import EnergyCounter, drawn
from aipc.errors import MeasurementError
from aipc.measure.bench.noise import Listener
from aipc.measure.bench.result import Load, Sample, Workload
from aipc.measure.bench.runner import LoadResult, ParticipantRunner, RunResult
from aipc.measure.bench.workload import Case, cases
from aipc.progress import Notify

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

_WARM_TOKENS = 2
_WARM_UP = -1
"""Stands for a repeat where prompts are drawn that no sample may be given."""


class Prompts(Protocol):
    def take(self, case: Case, repeat: int) -> list[list[int]]:
        """A batch of prompts: the same for the same arguments, else without a common beginning."""


@dataclass
class RunningParticipant:
    """One participant under way; ``make`` gives a runner that is not loaded yet."""

    name: str
    make: Callable[[], ParticipantRunner]
    required: bool = False
    """Its failure ends the contest; another's is written down."""
    loads: list[Load] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)
    peak_memory_bytes: int | None = None
    failure: str | None = None
    _runner: ParticipantRunner | None = None

    def load(self) -> LoadResult | None:
        """In a fresh process; None when that failed."""
        self.close()
        self._runner = self.make()
        loaded = self._attempt(self._runner.load)
        if loaded is None:
            self.close()
        else:
            self.loads.append(Load(loaded.seconds, loaded.peak_memory_bytes))
            self.facts = loaded.facts
        return loaded

    def run(self, prompts: Sequence[Sequence[int]], tokens: int) -> RunResult | None:
        """None when it failed."""
        runner = self._runner
        if runner is None:
            return None
        run = self._attempt(lambda: runner.run(prompts, tokens))
        if run is not None:
            self.peak_memory_bytes = run.peak_memory_bytes
        return run

    def close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    def _attempt(self, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except MeasurementError as error:
            if self.required:
                raise
            self.failure = self.failure or str(error)
            return None


class RoundRobin:
    """Takes the samples of `RunningParticipant`s; the one in front changes from repeat to repeat.

    A context manager: at its end every participant's process has ended.
    """

    def __init__(
        self,
        participants: Sequence[RunningParticipant],
        workload: Workload,
        prompts: Prompts,
        listener: Listener,
        energy: EnergyCounter | None,
        notify: Notify,
    ) -> None:
        self._participants = participants
        self._workload = workload
        self._prompts = prompts
        self._listener = listener
        self._energy = energy
        self._notify = notify

    def load(self, times: int) -> None:
        """Load everyone so often, each time with its cold first run; the last ones stay loaded."""
        first = cases(self._workload)[0]
        for number in range(times):
            for participant in _in_turn(self._participants, number):
                if participant.failure is None and participant.load() is not None:
                    cold = Case(first.prompt, _WARM_TOKENS, 1)
                    self._sample(participant, cold, number, cold=True)
                self._notify(_progress(participant))
                if number + 1 < times:
                    participant.close()

    def run(self) -> None:
        """Every case: once to warm up, unrecorded, then as often as the workload repeats it."""
        for case in cases(self._workload):
            self._notify(f"prompt {case.prompt}, {case.output} tokens, batch {case.batch}")
            warm = Case(case.prompt, _WARM_TOKENS, case.batch)
            prompts = self._prompts.take(warm, _WARM_UP)
            able = [one for one in self._participants if one.run(prompts, _WARM_TOKENS)]
            for repeat in range(self._workload.repeats):
                for participant in _in_turn(able, repeat):
                    self._sample(participant, case, repeat)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for participant in self._participants:
            participant.close()

    def _sample(
        self, participant: RunningParticipant, case: Case, repeat: int, *, cold: bool = False
    ) -> None:
        prompts = self._prompts.take(case, _WARM_UP - 1 - repeat if cold else repeat)
        own_cpu: list[float] = []
        with self._listener.sample(own_cpu):
            run, joules = drawn(self._energy, partial(participant.run, prompts, case.output))
            if run is None:
                return
            own_cpu.append(run.cpu_s)
        participant.samples.append(
            Sample(case.prompt, case.batch, run.times, run.seconds, cold, repeat, joules)
        )


def _progress(participant: RunningParticipant) -> str:
    if participant.failure is not None:
        return f"{participant.name}: {participant.failure}"
    load, first = participant.loads[-1].seconds, participant.samples[-1].times[0][0]
    return f"{participant.name}: loaded in {load:.1f} s, cold first token {first:.1f} s"


def _in_turn(participants: Sequence[RunningParticipant], number: int) -> list[RunningParticipant]:
    return list(participants) if number % 2 == 0 else list(reversed(participants))
