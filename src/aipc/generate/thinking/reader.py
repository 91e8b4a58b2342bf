"""Thinking told from the answer in a model's text, wherever the borders between its pieces fall."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aipc.generate.stops import StopStrings
from aipc.generate.thinking.marks import ThinkingMarks


@dataclass(frozen=True)
class MarkedText:
    """A piece of text, which is thinking or the answer."""

    text: str
    is_thinking: bool = False


class ThinkingReader:
    """Text in; what is thinking and what is the answer out, the same however the text is cut.

    Thinking stands at the start of a model's text alone, and blanks around it belong to neither.
    Its end is told by a part, be it an empty one, so that whoever counts tokens can part them
    there.  What is never closed is thinking to the end.
    """

    def __init__(self, marks: ThinkingMarks, *, is_open: bool) -> None:
        """``is_open``: the prompt ends inside thinking, though the model may begin it again."""
        self.is_thinking = is_open
        self._marks = marks
        self._ends = StopStrings(marks.end)
        self._answer_ends = StopStrings(marks.answer_end)
        self._step: Callable[[], Iterable[MarkedText]] = self._begin
        self._held = ""
        self._blank = ""  # behind what was thought so far
        self._has_thought = False

    def feed(self, text: str) -> list[MarkedText]:
        self._held += text
        parts: list[MarkedText] = []
        step = None
        while step != self._step:
            step = self._step
            parts += step()
        return parts

    def close(self) -> list[MarkedText]:
        """End thinking here, whatever the text says; what is held of it."""
        parts = self._thought(self._held + self._ends.finish())
        self.is_thinking, self._held, self._step = False, "", self._before_answer
        return parts or [MarkedText("", is_thinking=True)]

    def finish(self) -> list[MarkedText]:
        """What is held, when no more is to come."""
        if self.is_thinking:
            return self._thought(self._held + self._ends.finish())
        rest = self._held + self._answer_ends.finish()
        return [MarkedText(rest)] if rest else []

    def _begin(self) -> Iterable[MarkedText]:
        """At the start: a mark of thinking, or of the answer without any, or neither."""
        starts = self._marks.begin if self.is_thinking else self._marks.begin + self._marks.answer
        rest = self._held.lstrip()
        begin = _mark_at_start(rest, self._marks.begin)
        if begin:
            self.is_thinking, self._held = True, rest[len(begin) :]
        elif not _mark_at_start(rest, starts) and _may_become(rest, starts):
            return ()
        is_marked = _mark_at_start(rest, self._marks.answer) is not None
        before = self._before_answer if is_marked else self._answer
        self._step = self._think if self.is_thinking else before
        return ()

    def _think(self) -> Iterable[MarkedText]:
        text, self._held = self._ends.feed(self._held), ""
        parts = self._thought(text)
        if self._ends.matched is None:
            return parts
        self.is_thinking, self._held, self._step = False, self._ends.after, self._before_answer
        return parts or [MarkedText("", is_thinking=True)]

    def _thought(self, text: str) -> list[MarkedText]:
        """A part of it without the blanks around; those within it come with what follows."""
        text = self._blank + text if self._has_thought else text.lstrip()
        part = text.rstrip()
        self._blank = text[len(part) :]
        self._has_thought = self._has_thought or bool(part)
        return [MarkedText(part, is_thinking=True)] if part else []

    def _before_answer(self) -> Iterable[MarkedText]:
        self._held = self._held.lstrip()
        while mark := _mark_at_start(self._held, self._marks.answer):
            self._held = self._held[len(mark) :].lstrip()
        if not _may_become(self._held, self._marks.answer):
            self._step = self._answer
        return ()

    def _answer(self) -> Iterable[MarkedText]:
        text, self._held = self._answer_ends.feed(self._held), ""
        if self._answer_ends.matched is not None:
            text += self._answer_ends.after
            self._answer_ends = StopStrings(())
        return [MarkedText(text)] if text else []


def _mark_at_start(text: str, marks: Iterable[str]) -> str | None:
    return next((mark for mark in marks if text.startswith(mark)), None)


def _may_become(text: str, marks: Iterable[str]) -> bool:
    """Whether one of ``marks`` may come of it; of nothing, whatever they are."""
    return not text or any(mark.startswith(text) for mark in marks)
