"""The program of the process in which the CPU judges an answer: its memory goes when it ends.

It is given one task on its stdin, and writes what it found to its stdout; nothing of an answer
comes onto a disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from aipc.choose.shortfall import Shortfall, shortfall_of
from aipc.errors import AipcError
from aipc.records import plain, read
from aipc.runtimes.base import Decoding


@dataclass(frozen=True)
class LiveAnswer:
    """Token ids in and out, and of `Decoding` what says how they were chosen."""

    prompt: tuple[int, ...] = field(repr=False)
    tokens: tuple[int, ...] = field(repr=False)
    temperature: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0

    @property
    def decoding(self) -> Decoding:
        return Decoding(
            len(self.tokens),
            self.temperature,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
        )


@dataclass(frozen=True)
class LiveTask:
    folder: str
    """The artifact."""
    runtime: str
    device: str
    """That answered, as the vendor names it."""
    answer: LiveAnswer


@dataclass(frozen=True)
class LiveVerdict:
    """``driver`` is the device's, as it is now; None where none is told."""

    shortfall: Shortfall
    driver: str | None


def judge(task: LiveTask) -> LiveVerdict:
    """Have the CPU say how likely the answer's tokens are.

    Raises:
        AipcError: it can't.
    """
    from aipc.devices import reachable_devices
    from aipc.runtimes.openvino.scorer import EXACT
    from aipc.runtimes.registry import RUNTIMES

    devices = reachable_devices({task.runtime})
    driver = next((one.driver for one in devices if one.name == task.device), None)
    properties = EXACT if task.runtime == "openvino" else {}
    scorer = RUNTIMES.get(task.runtime).scorer(Path(task.folder), "cpu", properties)
    answer = task.answer
    return LiveVerdict(shortfall_of(scorer, answer.prompt, answer.tokens, answer.decoding), driver)


def main() -> None:
    from aipc import telemetry
    from aipc.child import one_task

    telemetry.switch_off()
    told, tell = one_task()
    try:
        tell(plain(judge(read(LiveTask, told))))
    except AipcError as error:
        tell({"error": type(error).__name__})


if __name__ == "__main__":
    main()
