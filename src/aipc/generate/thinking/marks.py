"""How a model family marks what it thinks before it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aipc.tables import read_table


@dataclass(frozen=True)
class ThinkingMarks:
    """One family's way; what each field holds is said in marks.toml."""

    name: str
    source: str
    sign: tuple[str, ...]
    begin: tuple[str, ...]
    end: tuple[str, ...]
    opening: str
    closing: str
    answer: tuple[str, ...] = ()
    answer_end: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()

    @property
    def special(self) -> tuple[str, ...]:
        """What may be special tokens of the model and has to be seen nevertheless."""
        return self.tokens or (*self.begin, *self.end, *self.answer, *self.answer_end)

    def is_open(self, prompt: str) -> bool:
        """Whether an answer to ``prompt`` begins inside thinking."""
        return prompt.rstrip().endswith(self.begin)

    def is_closed(self, prompt: str) -> bool:
        """Whether ``prompt`` ends behind thinking, so that the answer follows."""
        return prompt.rstrip().endswith((*self.end, self.closing.rstrip()))


def marks_of_template(source: str) -> ThinkingMarks | None:
    """Those that a chat template shows that its model was trained on."""
    shown = (marks for marks in _MARKS if all(sign in source for sign in marks.sign))
    return next(shown, None)


def marks_of_tokens(id_of: Callable[[str], int | None]) -> ThinkingMarks | None:
    """Those that are tokens of a vocabulary, where no template shows any."""
    return next((marks for marks in _PLAIN if all(map(_is_known(id_of), marks.special))), None)


def _is_known(id_of: Callable[[str], int | None]) -> Callable[[str], bool]:
    return lambda text: id_of(text) is not None


def _read() -> Iterator[ThinkingMarks]:
    for row in read_table(__package__, "marks.toml")["marks"]:
        lists = {name: tuple(one) for name, one in row.items() if isinstance(one, list)}
        yield ThinkingMarks(**{**row, **lists})


_MARKS = tuple(_read())
_PLAIN = [marks for marks in _MARKS if not (marks.tokens or marks.answer)]
"""Those of which each mark is a token, where it is one."""
