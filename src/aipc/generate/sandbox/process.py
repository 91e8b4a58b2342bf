"""The process in which chat templates are rendered, one for all models of this process.

What a template may take is limited by the system, not by a list of what grows: in `dialect.MEMORY`
bytes and `dialect.MAX_SECONDS` it does what it likes, and after that it is no more.  Where the
system limits no process's memory (macOS) the time alone counts, and what `dialect` meters.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aipc.child import Child, ChildEnded, safe_environment
from aipc.errors import GenerationError

START_S = 60.0
LIMIT_S = 6.0
"""Seconds for one rendering; `dialect.MAX_SECONDS` and one, as its own clock tells more."""
_PROGRAM = Path(__file__).with_name("dialect.py")


class TemplateFailed(Exception):
    """No text came of it; says why, in one line of the template's or Python's own words."""


class TemplateRefused(TemplateFailed):
    """The template itself raised an error: the conversation does not suit it, or it is none."""


class TemplateProcess:
    """Renders templates; several threads may, one after another.  It is started by the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._owner = 0

    def check(self, source: str) -> None:
        """Compile a template.

        Raises:
            TemplateFailed: as `render`.
        """
        self._ask(source, None)

    def render(self, source: str, variables: Mapping[str, Any]) -> str:
        """The text that the template ``source`` writes; ``variables`` are plain JSON.

        Raises:
            TemplateRefused: it raised an error of Jinja's, or is not valid.
            TemplateFailed: it took too much time, memory or text, or failed otherwise.
            GenerationError: the process does not start.
        """
        return self._ask(source, variables)

    def close(self) -> None:
        """End the process; the next template starts another."""
        with self._lock:
            self._drop()

    def _ask(self, source: str, variables: Mapping[str, Any] | None) -> str:
        with self._lock:
            child = self._started()
            try:
                answer = child.ask({"source": source, "variables": variables}, LIMIT_S)
            except ChildEnded as ended:
                self._drop()
                took = "too long" if ended.status is None else "too much memory or depth"
                raise TemplateFailed(f"it takes {took}") from ended
        if "text" in answer:
            text: str = answer["text"]
            return text
        refusal = answer.get("refusal")
        raise TemplateFailed(answer["failure"]) if refusal is None else TemplateRefused(refusal)

    def _started(self) -> Child:
        if self._owner != os.getpid():  # forked: the pipes are the other process's
            self._child, self._owner = None, os.getpid()
        if self._child is None:
            try:
                self._child = Child([sys.executable, str(_PROGRAM)], env=safe_environment())
                self._child.answer(START_S)
            except (OSError, ChildEnded) as error:
                self._child = None
                reason = getattr(error, "strerror", None) or str(error)
                what = f"the process that renders chat templates did not start ({reason})"
                raise GenerationError(what, "close other programs, and try again") from error
        return self._child

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None and self._owner == os.getpid():
            child.end()


TEMPLATES = TemplateProcess()
atexit.register(TEMPLATES.close)
