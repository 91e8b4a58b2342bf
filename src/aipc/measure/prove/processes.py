"""Trials in processes of their own: one that crashes or hangs costs only itself."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from aipc.child import Child, ChildEnded, safe_environment
from aipc.devices import Device
from aipc.measure.prove.findings import JudgeTask, TrialFindings, TrialTask
from aipc.measure.prove.record import TokenAgreement, TrialFailure
from aipc.records import plain, read

GRACE_S = 10.0
"""Beyond the time that a process is told, which it looks at between its steps alone."""
HANG_S, _TIMES_LONGER = 60.0, 5.0
"""A step that took so long, and so many times as long as foretold, when its time was over, hangs;
any other was only begun too late."""
_LISTING_S = 60.0
CRASHED, TOO_LONG = "crashed", "took too long"


def _command(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"aipc.measure.prove.{module}")


@dataclass(frozen=True)
class ProofCommands:
    """The programs of the processes."""

    trial: Sequence[str] = _command("trial")
    judge: Sequence[str] = _command("judge")
    listing: Sequence[str] = _command("listing")


@dataclass
class Told:
    """What a process said until it ended; ``message`` is its error's text, for this terminal."""

    stage: str = "starting"
    cost: float | None = None
    """Seconds that the step was to take; None: nobody knows."""
    since: float = field(default_factory=time.monotonic)
    """When the step began."""
    found: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, list[Any]] = field(default_factory=dict)
    failure: TrialFailure | None = None
    message: str = ""

    def take(self, message: dict[str, Any]) -> bool:
        """Note one message; whether it was the last."""
        if "stage" in message:
            self.stage, self.cost = message["stage"], message.get("cost")
            self.since = time.monotonic()
        elif "found" in message:
            self.found[message["found"]] = message["value"]
        elif "error" in message:
            self.failure = TrialFailure(self.stage, message["error"])
            self.message = message["what"]
        else:
            for name in {"answer", "run", "cut", "agreement"} & message.keys():
                self.lists.setdefault(name, []).append(message[name])
        return "done" in message

    @property
    def hangs(self) -> bool:
        """Whether a process whose time is over has been at one step for too long."""
        if self.cost is None:
            return True
        return time.monotonic() - self.since > max(HANG_S, _TIMES_LONGER * self.cost)

    @property
    def findings(self) -> TrialFindings:
        lists = {
            "answers": self.lists.get("answer", []),
            "runs": self.lists.get("run", []),
            "cut": self.lists.get("cut", []),
        }
        return read(TrialFindings, {**self.found, **lists})

    @property
    def agreements(self) -> tuple[TokenAgreement, ...]:
        return tuple(read(TokenAgreement, one) for one in self.lists.get("agreement", []))


def run_process(command: Sequence[str], task: TrialTask | JudgeTask) -> Told:
    """Have a process do the task; it is ended when its time is over."""
    told = Told()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stderr:
        until = time.monotonic() + task.seconds + GRACE_S
        child = Child(command, stderr, safe_environment())
        try:
            _listen(child, task, told, until)
        except ChildEnded as ended:
            if ended.status is None and not told.hangs:
                told.lists.setdefault("cut", []).append(f"{told.stage}: its time was over")
            else:
                told.failure = _failure(ended, told.stage)
                told.message = _last_line(stderr)
        finally:
            child.end()
    return told


def list_devices_apart(command: Sequence[str], runtime: str) -> tuple[Device, ...] | TrialFailure:
    """The devices that a runtime reaches; asking it may crash or hang."""
    child = Child([*command, runtime], env=safe_environment())
    try:
        found = child.answer(_LISTING_S)
    except ChildEnded as ended:
        return _failure(ended, "listing its devices")
    finally:
        child.end()
    if "error" in found:
        return TrialFailure("listing its devices", found["error"])
    return tuple(read(Device, one) for one in found["devices"])


def _listen(child: Child, task: TrialTask | JudgeTask, told: Told, until: float) -> None:
    def left() -> float:
        return max(until - time.monotonic(), 0.0)

    is_over = told.take(child.ask(plain(task), left()))
    while not is_over:
        is_over = told.take(child.answer(left()))


def _failure(ended: ChildEnded, stage: str) -> TrialFailure:
    if ended.status is None:
        return TrialFailure(stage, TOO_LONG)
    return TrialFailure(stage, CRASHED, ended.status)


def _last_line(stderr: IO[str]) -> str:
    with suppress(OSError):
        stderr.seek(0)
        return next(iter(reversed(list(_lines(stderr)))), "")[:300]
    return ""


def _lines(stderr: IO[str]) -> Iterator[str]:
    yield from filter(None, (line.strip() for line in stderr))
