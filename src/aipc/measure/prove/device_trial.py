"""One device through one runtime: tried, loaded anew, and judged, within its share of the time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aipc.choose import read_artifact
from aipc.choose.runtime_device import RuntimeDevice
from aipc.measure.prove.evidence import device_proof, stated
from aipc.measure.prove.findings import JudgeTask, TrialAnswer, TrialTask
from aipc.measure.prove.processes import ProofCommands, Told, run_process
from aipc.measure.prove.record import DeviceProof, TrialFailure
from aipc.progress import Notify

_TRIAL_SHARE, _AGAIN_SHARE = 0.6, 0.35
"""Of the time, and of what is left for loading anew; the rest is the judge's."""


@dataclass(frozen=True)
class PlaceToProve:
    """A device through a runtime, with what was converted for it."""

    place: RuntimeDevice
    emulate: bool
    folder: Path | None
    failure: TrialFailure | None = None
    """Why nothing could be converted for it."""

    @property
    def is_cpu(self) -> bool:
        return self.place.device.kind == "cpu"

    @property
    def stated(self) -> DeviceProof:
        """What is known of it before it is tried."""
        artifact = None if self.folder is None else read_artifact(self.folder)
        proof = stated(self.place, artifact, emulate=self.emulate)
        return replace(proof, failure=self.failure)


class DeviceTrial:
    """``seconds`` is its share; ``home`` is the store's, in which nothing is left."""

    def __init__(
        self,
        one: PlaceToProve,
        folder: Path,
        home: Path,
        seconds: float,
        commands: ProofCommands,
        notify: Notify,
    ) -> None:
        self._one = one
        self._folder = folder
        self._home = home
        self._until = time.monotonic() + seconds
        self._commands = commands
        self._notify = notify

    def run(self, judge: str, weights: Path) -> DeviceProof:
        """``weights`` is the artifact with which the CPU judges, through the runtime ``judge``."""
        with tempfile.TemporaryDirectory(
            prefix="prove-", dir=self._home, ignore_cleanup_errors=True
        ) as scratch:
            task = self._task(scratch)
            trial = self._run(self._commands.trial, task)
            again = None
            if "load_s" in trial.found:
                task = replace(task, seconds=_AGAIN_SHARE * self._left, again=True)
                again = self._run(self._commands.trial, task)
        answers = (*trial.findings.answers, *(again.findings.answers if again else ()))
        judged = self._judged(judge, weights, answers) if answers else Told()
        same = weights == self._folder
        plan = replace(self._one.stated, judge=judge, judged_same_weights=same)
        return device_proof(plan, trial, again, judged)

    @property
    def _left(self) -> float:
        """Seconds; a process gets one at least."""
        return max(self._until - time.monotonic(), 1.0)

    def _task(self, scratch: str) -> TrialTask:
        place = self._one.place
        return TrialTask(
            folder=str(self._folder),
            runtime=place.runtime,
            device=place.device.name,
            kind="cpu" if self._one.emulate else place.device.kind,
            emulate=self._one.emulate,
            home=str(self._home),
            scratch=scratch,
            seconds=_TRIAL_SHARE * self._left,
        )

    def _judged(self, judge: str, weights: Path, answers: tuple[TrialAnswer, ...]) -> Told:
        shortest_first = tuple(sorted(answers, key=lambda one: len(one.prompt)))
        task = JudgeTask(str(weights), judge, self._left, shortest_first)
        return self._run(self._commands.judge, task)

    def _run(self, command: Sequence[str], task: TrialTask | JudgeTask) -> Told:
        told = run_process(command, task)
        if told.message:
            self._notify(f"  {told.stage}: {told.message}")
        return told
