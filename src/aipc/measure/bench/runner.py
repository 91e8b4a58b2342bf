"""A participant under way: loaded in a process of its own, asked for one run after another."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO, cast

from aipc.errors import MeasurementError

_LOOP = Path(__file__).with_name("participant_loop.py")


@dataclass(frozen=True)
class LoadResult:
    """``facts`` are device, runtime, properties and versions, as the participant tells them."""

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


class Runner(Protocol):
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


class ProcessRunner:
    """Speaks with `peer_loop` under ``python``, which is this one when None."""

    def __init__(
        self, name: str, python: str | None, script: Path, options: Mapping[str, Any]
    ) -> None:
        self._name = name
        self._command = [python or sys.executable, str(_LOOP), str(script), json.dumps(options)]
        self._process: subprocess.Popen[str] | None = None
        self._stderr = tempfile.TemporaryFile(  # noqa: SIM115 - open as long as the process
            "w+", encoding="utf-8", errors="replace"
        )

    def load(self) -> LoadResult:
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            what = f"{self._name}: '{self._command[0]}' can't be run ({error.strerror})"
            raise MeasurementError(what, "name its Python with --peer-python") from error
        told = self._answer()
        return LoadResult(told["seconds"], told["peak_memory_bytes"], told["facts"])

    def run(self, prompts: Sequence[Sequence[int]], tokens: int) -> RunResult:
        self._ask({"prompts": [list(prompt) for prompt in prompts], "tokens": tokens})
        told = self._answer()
        times = tuple(tuple(round(moment, 6) for moment in one) for one in told["times"])
        if [len(one) for one in times] != [tokens] * len(prompts):
            counts = ", ".join(str(len(one)) for one in times)
            raise MeasurementError(
                f"{self._name} gave {counts} tokens where {tokens} were asked of each of "
                f"{len(prompts)} prompts"
            )
        return RunResult(times, told["seconds"], told["cpu_s"], told["peak_memory_bytes"])

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
        self._stderr.close()

    def _ask(self, request: Mapping[str, Any]) -> None:
        pipe = cast("TextIO", self._running().stdin)
        try:
            pipe.write(json.dumps(request) + "\n")
            pipe.flush()
        except OSError as error:
            raise self._ended() from error

    def _answer(self) -> dict[str, Any]:
        line = cast("TextIO", self._running().stdout).readline()
        if not line:
            raise self._ended()
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise MeasurementError(f"{self._name} failed: {told['error']}")
        return told

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise MeasurementError(f"{self._name} is not loaded", "load it first")
        return self._process

    def _ended(self) -> MeasurementError:
        """With what the process wrote last."""
        status = self._running().wait()
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr if line.strip()]
        last = f": {lines[-1][:200]}" if lines else ""
        return MeasurementError(f"the process of {self._name} ended with status {status}{last}")
