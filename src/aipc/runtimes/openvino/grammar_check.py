"""Grammars tried out in a process of their own, before the pipeline of the model sees them.

A schema or expression that GenAI can't compile fails inside a step, and with it every request of
the pipeline, for good; one of thirty characters can take it a minute.  Here either costs a
process, which is ended.
"""

from __future__ import annotations

import sys
import threading
from functools import lru_cache
from pathlib import Path

from aipc.artifact.files import OPENVINO_TOKENIZER
from aipc.child import Child, ChildEnded, safe_environment
from aipc.errors import EngineError, UsageError
from aipc.runtimes.base import Constraint
from aipc.runtimes.openvino.generation import written
from aipc.runtimes.openvino.grammar_worker import PROCESSOR_S

START_S = 60.0
COMPILE_S = 5.0
"""Of wall time, in which the process has `grammar_worker.PROCESSOR_S` even on a busy machine."""


class GrammarCheck:
    """Judges the constraints for one artifact; its process is started by the first of them."""

    def __init__(self, artifact: Path) -> None:
        self._artifact = artifact
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._accept = lru_cache(maxsize=256)(self._judge)

    def check(self, constraint: Constraint) -> None:
        """Return if GenAI can enforce ``constraint``; one it has accepted is not tried again.

        Raises:
            UsageError: it is no valid expression, or takes more than
                `grammar_worker.PROCESSOR_S` seconds or much memory to compile.
            EngineError: the folder has no tokenizer for GenAI, or the process did not start.
        """
        if not (self._artifact / OPENVINO_TOKENIZER).is_file():
            raise EngineError(
                f"a constraint needs {OPENVINO_TOKENIZER}, and '{self._artifact.name}' has none",
                "convert the model again",
            )
        with self._lock:
            self._accept(constraint.kind, *written(constraint))

    def close(self) -> None:
        with self._lock:
            child, self._child = self._child, None
            if child is not None:
                child.end()

    def _judge(self, asked: str, kind: str, text: str) -> None:
        if self._child is None:
            self._child = self._start()
        name = asked.replace("_", " ")
        try:
            complaint = self._child.ask({"kind": kind, "text": text}, COMPILE_S)
        except ChildEnded as ended:  # the grammar killed it, or it was ended at the limit
            self._child = None
            raise UsageError(
                f"the {name} takes more than {PROCESSOR_S:g} seconds or too much memory to compile",
                "make it simpler: fewer or smaller counts of repetition",
            ) from ended
        if complaint:
            raise UsageError(f"the {name} can't be enforced: {complaint}", "mend it")

    def _start(self) -> Child:
        module = "aipc.runtimes.openvino.grammar_worker"
        child = Child([sys.executable, "-m", module, str(self._artifact)], env=safe_environment())
        try:
            child.answer(START_S)
        except ChildEnded as ended:
            raise EngineError(
                "the process that checks grammars did not start", "try again"
            ) from ended
        return child
