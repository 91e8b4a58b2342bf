"""Grammars tried out in a process of their own, before the pipeline of the model sees them.

A schema or expression that GenAI can't compile fails inside a step, and with it every request of
the pipeline, for good; one of thirty characters can take it a minute.  Here either costs a
process, which is ended.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path

from aipc.artifact.files import OPENVINO_TOKENIZER
from aipc.errors import EngineError, UsageError
from aipc.runtimes.base import Constraint
from aipc.runtimes.openvino.schema import check_schema

START_S = 60.0
COMPILE_S = 5.0
"""A step of the model's pipeline compiles the grammar once more, and all its requests wait."""


class GrammarCheck:
    """Judges the constraints for one artifact; its process is started by the first of them."""

    def __init__(self, artifact: Path) -> None:
        self._artifact = artifact
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._accept = lru_cache(maxsize=256)(self._judge)

    def check(self, constraint: Constraint) -> None:
        """Return if GenAI can enforce ``constraint``; one it has accepted is not tried again.

        Raises:
            UsageError: it is no valid schema or expression, has a part that would not be
                enforced, or takes more than `COMPILE_S` seconds or much memory to compile.
            EngineError: the folder has no tokenizer for GenAI, or the process did not start.
        """
        if not (self._artifact / OPENVINO_TOKENIZER).is_file():
            raise EngineError(
                f"a constraint needs {OPENVINO_TOKENIZER}, and '{self._artifact.name}' has none",
                "convert the model again",
            )
        if constraint.kind == "json_schema":
            check_schema(constraint.text)
        with self._lock:
            self._accept(constraint)

    def close(self) -> None:
        with self._lock:
            self._end()

    def _judge(self, constraint: Constraint) -> None:
        if self._process is None:
            self._begin()
        question = json.dumps({"kind": constraint.kind, "text": constraint.text})
        complaint = self._ask(question, COMPILE_S)
        kind = constraint.kind.replace("_", " ")
        if complaint is None:
            raise UsageError(
                f"the {kind} takes more than {COMPILE_S:g} seconds or too much memory to compile",
                "make it simpler: fewer or smaller counts of repetition",
            )
        if complaint:
            raise UsageError(f"the {kind} can't be enforced: {complaint}", "mend it")

    def _begin(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aipc.runtimes.openvino.grammar_worker", str(self._artifact)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        self._answers = queue.SimpleQueue()
        threading.Thread(target=_read, args=(self._process, self._answers), daemon=True).start()
        if self._answer(START_S) is None:
            raise EngineError("the process that checks grammars did not start", "try again")

    def _ask(self, question: str, limit: float) -> str | None:
        """The answer; None where the process died of the question, or was ended at the limit."""
        if self._process is None or self._process.stdin is None:
            return None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except OSError:
            self._end()
            return None
        return self._answer(limit)

    def _answer(self, limit: float) -> str | None:
        try:
            line = self._answers.get(timeout=limit)
        except queue.Empty:
            line = ""
        if not line:
            self._end()
            return None
        return str(json.loads(line))

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _read(process: subprocess.Popen[str], answers: queue.SimpleQueue[str]) -> None:
    """Lines as they come, and an empty one at the end."""
    if process.stdout is not None:
        try:
            for line in process.stdout:
                answers.put(line)
        except ValueError:
            pass  # closed by `_end`
    answers.put("")
