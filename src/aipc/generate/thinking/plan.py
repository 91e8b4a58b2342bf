"""How one answer thinks, in token ids: what bounds it, what ends it, and what comes then."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.generate.thinking.marks import ThinkingMarks
from aipc.generate.thinking.reader import ThinkingReader
from aipc.generate.tokenizer import Tokenizer


@dataclass(frozen=True)
class ThinkingPlan:
    marks: ThinkingMarks
    is_open: bool = False
    """The prompt ends inside thinking."""
    budget: int | None = None
    """Most tokens of it."""
    closing: tuple[int, ...] = ()
    """What ends it where the model does not."""
    rest: tuple[int, ...] = ()
    """The part of `closing` behind the mark itself, for a model that ended it."""
    opening: tuple[int, ...] = ()
    """What a constrained answer begins with and nobody is given: the mark of a call."""

    @classmethod
    def of(
        cls,
        marks: ThinkingMarks,
        tokenizer: Tokenizer,
        *,
        is_open: bool,
        budget: int | None,
        opening: str = "",
    ) -> ThinkingPlan:
        def encode(text: str) -> tuple[int, ...]:
            return tuple(tokenizer.encode(text, add_special_tokens=False)) if text else ()

        return cls(
            marks,
            is_open,
            budget,
            encode(marks.closing),
            encode(marks.closing.partition(marks.end[0])[2]),
            encode(opening),
        )

    def reader(self) -> ThinkingReader:
        """What finds it in one answer."""
        return ThinkingReader(self.marks, is_open=self.is_open)
