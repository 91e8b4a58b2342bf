"""A participant under way: loaded in a process of its own, run once after another."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from aipc.child import Child, ChildEnded
from aipc.errors import MeasurementError

_LOOP = Path(__file__).with_name("participant_loop.py")


@dataclass(frozen=True)
class LoadResult:
    """``facts`` are device, runtime, properties and versions, as the participant reports them."""

    seconds: float
    peak_memory_bytes: int | None
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class RunResult:
    """As `aipc.measure.bench.result.Sample` has them; ``cpu_s`` is the processor's time it took."""

    times: tuple[tuple[float, ...], ...]
    seconds: float
    cpu_s: float
    peak_memory_bytes: int | None


class ParticipantRunner(Protocol):
    """What a benchmark needs of a participant."""

    def load(self) -> LoadResult:
        """Load the model; MeasurementError where that fails."""

    def run(self, prompts: Sequence[Sequence[int]], tokens: int) -> RunResult:
        """Answer every prompt (token ids, all of one length) with exactly ``tokens`` tokens.

        Raises:
            MeasurementError: it failed, gave another number, or its process has ended.
        """

    def close(self) -> None:
        """Free the model; a second call does nothing."""


class ParticipantProcess:
    """Speaks with `participant_loop` under a Python, this one where ``program`` is None.

    A script of Node.js speaks for itself, as the loop does.
    """

    def __init__(
        self, name: str, program: str | None, script: Path, options: Mapping[str, Any]
    ) -> None:
        self._name = name
        loop = [str(_LOOP)] if script.suffix == ".py" else []
        self._command = [program or sys.executable, *loop, str(script), json.dumps(options)]
        self._child: Child | None = None
        self._stderr = tempfile.TemporaryFile(  # noqa: SIM115 - open as long as the process
            "w+", encoding="utf-8", errors="replace"
        )

    def load(self) -> LoadResult:
        try:
            self._child = Child(self._command, self._stderr)
        except OSError as error:
            what = f"{self._name}: '{self._command[0]}' can't be run ({error.strerror})"
            raise MeasurementError(what, "name its Python with --peer-python") from error
        loaded = self._checked(self._child.answer)
        return LoadResult(loaded["seconds"], loaded["peak_memory_bytes"], loaded["facts"])

    def run(self, prompts: Sequence[Sequence[int]], tokens: int) -> RunResult:
        if self._child is None:
            raise MeasurementError(f"{self._name} is not loaded", "load it first")
        question = {"prompts": [list(prompt) for prompt in prompts], "tokens": tokens}
        ran = self._checked(partial(self._child.ask, question))
        times = tuple(tuple(round(moment, 6) for moment in one) for one in ran["times"])
        if [len(one) for one in times] != [tokens] * len(prompts):
            counts = ", ".join(str(len(one)) for one in times)
            raise MeasurementError(
                f"{self._name} gave {counts} tokens where {tokens} were requested for each of "
                f"{len(prompts)} prompts"
            )
        return RunResult(times, ran["seconds"], ran["cpu_s"], ran["peak_memory_bytes"])

    def close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()
        self._stderr.close()

    def _checked(self, answer: Callable[[], Any]) -> dict[str, Any]:
        try:
            found: dict[str, Any] = answer()
        except ChildEnded as ended:
            self._stderr.seek(0)
            lines = [line.strip() for line in self._stderr if line.strip()]
            reason = f": {lines[-1][:200]}" if lines else ""
            raise MeasurementError(
                f"the process of {self._name} ended with status {ended.status}{reason}"
            ) from ended
        if "error" in found:
            raise MeasurementError(f"{self._name} failed: {found['error']}")
        return found
