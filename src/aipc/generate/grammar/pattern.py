r"""Regular expressions as JSON Schema has them (ECMA 262), read as languages of whole texts.

A pattern of a schema is searched for: what it does not anchor may stand anywhere.  What two
dialects read differently (\d beyond ASCII) is read as what both allow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aipc.generate.grammar.characters import (
    LINE_ENDS,
    SHORTHANDS,
    common_of,
    not_shorthand,
    of_category,
)
from aipc.runtimes.grammars.automaton import ANYTHING, Both, Complement, has_empty
from aipc.runtimes.grammars.grammar import (
    ALL,
    EMPTY,
    NOTHING,
    Chain,
    Chars,
    Choice,
    Repeat,
    both,
    chain,
    choice,
    joined,
    others,
)

_SIGNS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
_COUNT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_GROUP = re.compile(r"\((?:\?(:|=|!|P?<[A-Za-z_]\w*>|<=|<!))?")
_CATEGORY = re.compile(r"[pP]\{(?:General_Category=|gc=)?([A-Za-z_]+)\}")
_CATEGORIES = {
    "Letter": "L", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Number": "N",
    "Decimal_Number": "Nd", "Punctuation": "P", "Symbol": "S", "Mark": "M", "Separator": "Z",
    "Alphabetic": "L", "Lowercase": "Ll", "Uppercase": "Lu",
}  # fmt: skip
_EMOJI = joined([(0x203C, 0x203C), (0x2049, 0x2049), (0x2600, 0x2604), (0x1F300, 0x1F5FF),
                 (0x1F600, 0x1F64F), (0x1F680, 0x1F6C5), (0x1F900, 0x1F9FF)])  # fmt: skip
_MOST = 1000
"""Largest count of repetitions."""
_EXPANDED = 8
"""Most repetitions that are written out, of a part with an assertion."""


class UnsupportedPattern(ValueError):
    """A part of a pattern that has no translation."""


@dataclass(frozen=True)
class Anchor:
    """Nothing, at the start of the text or at its end."""

    is_end: bool


@dataclass(frozen=True)
class Look:
    """Nothing, where ``part`` follows, or where it does not."""

    part: Any
    is_negative: bool


@lru_cache(maxsize=512)
def language(pattern: str) -> Any:
    """The texts in which ``pattern`` is found.

    Raises:
        UnsupportedPattern: it is malformed, or has a part that is not known here.
    """
    try:
        part = _Reader(pattern).read()
        found = _followed(part, ANYTHING, is_start=True)
        if _always_starts(part):
            return found
        later = chain(Chars(ALL), ANYTHING, _followed(part, ANYTHING, is_start=False))
        if not _has(part, Anchor(is_end=False)):
            later = _followed(part, ANYTHING, is_start=False)
            return later if later == ANYTHING else chain(ANYTHING, later)
    except RecursionError as error:
        raise UnsupportedPattern("too deeply nested") from error
    return choice(found, later)


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._place = 0

    def read(self) -> Any:
        part = self._choice()
        if self._place < len(self._text):
            raise UnsupportedPattern(f"'{self._text[self._place]}'")
        return part

    def _choice(self) -> Any:
        parts = [self._chain()]
        while self._taken("|"):
            parts.append(self._chain())
        return choice(*parts) if len(parts) > 1 else parts[0]

    def _chain(self) -> Any:
        parts: list[Any] = []
        while self._place < len(self._text) and self._text[self._place] not in "|)":
            parts.append(self._counted(self._atom()))
        return chain(*parts)

    def _counted(self, part: Any) -> Any:
        if self._place >= len(self._text):
            return part
        least, most = self._count()
        if (least, most) == (1, 1):
            return part
        if isinstance(part, (Anchor, Look)):
            raise UnsupportedPattern("a repeated assertion")
        self._taken("?")  # lazy: the texts are the same
        if self._text[self._place : self._place + 1] in {"+", "*"}:
            raise UnsupportedPattern(f"'{self._text[self._place]}' behind a repetition")
        if most is not None and (least > most or most > _MOST):
            raise UnsupportedPattern(f"{most:,} repetitions")
        return EMPTY if most == 0 else Repeat(part, least, most)

    def _count(self) -> tuple[int, int | None]:
        for sign, count in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._taken(sign):
                return count
        found = _COUNT.match(self._text, self._place)
        if found is None:
            return 1, 1
        self._place = found.end()
        least = min(int(found[1]), 10**6)
        if found[2] is None:
            return least, least
        return least, int(found[3]) if found[3] else None

    def _atom(self) -> Any:
        sign = self._text[self._place]
        if sign == "(":
            return self._group()
        self._place += 1
        if sign == "[":
            return Chars(self._class())
        if sign == "\\":
            return Chars(self._escaped(is_in_class=False))
        if sign in "^$":
            return Anchor(sign == "$")
        if sign == ".":
            return Chars(both(ALL, others(LINE_ENDS)))
        if sign in "*+?":
            raise UnsupportedPattern(f"'{sign}' without a part before it")
        return Chars(((ord(sign), ord(sign)),))

    def _group(self) -> Any:
        found = _GROUP.match(self._text, self._place)
        kind = found[1] if found else None
        if found is None or (self._text.startswith("(?", self._place) and kind is None):
            raise UnsupportedPattern(f"'{self._text[self._place : self._place + 3]}'")
        if kind in {"<=", "<!"}:
            raise UnsupportedPattern(f"'(?{kind}'")
        self._place = found.end()
        part = self._choice()
        if not self._taken(")"):
            raise UnsupportedPattern("'(' without ')'")
        return Look(part, kind == "!") if kind in {"=", "!"} else part

    def _class(self) -> Any:
        is_negative = self._taken("^")
        found: list[tuple[int, int]] = []
        while not self._taken("]"):
            found += self._range()
        ranges = joined(found)
        return both(ALL, others(ranges)) if is_negative else both(ALL, ranges)

    def _range(self) -> Any:
        first = self._member()
        if len(first) != 1 or first[0][0] != first[0][1]:
            return first
        if self._text[self._place : self._place + 1] != "-" or self._text[
            self._place + 1 : self._place + 2
        ] in {"]", ""}:
            return first
        self._place += 1
        last = self._member()
        if len(last) != 1 or last[0][0] != last[0][1] or last[0][0] < first[0][0]:
            raise UnsupportedPattern("a range that is none")
        return ((first[0][0], last[0][0]),)

    def _member(self) -> Any:
        if self._place >= len(self._text):
            raise UnsupportedPattern("'[' without ']'")
        sign = self._text[self._place]
        self._place += 1
        return self._escaped(is_in_class=True) if sign == "\\" else ((ord(sign), ord(sign)),)

    def _escaped(self, *, is_in_class: bool) -> Any:
        rest = self._text[self._place : self._place + 1]
        for expression in (_HEX, _CATEGORY):
            found = expression.match(self._text, self._place)
            if found is not None:
                self._place = found.end()
                if expression is _CATEGORY:
                    return _category(found)
                code = int(next(each for each in found.groups() if each), 16)
                return ((code, code),)
        self._place += 1
        if rest.lower() in SHORTHANDS and rest:
            return SHORTHANDS[rest] if rest in SHORTHANDS else not_shorthand(rest.lower())
        if rest in _SIGNS:
            return ((_SIGNS[rest], _SIGNS[rest]),)
        if rest == "b" and is_in_class:
            return ((8, 8),)
        if not rest or rest.isalnum():
            raise UnsupportedPattern(f"'\\{rest}'")
        return ((ord(rest), ord(rest)),)

    def _taken(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._place):
            return False
        self._place += len(sign)
        return True


def _category(found: re.Match[str]) -> Any:
    name = _CATEGORIES.get(found[1], found[1])
    if name in {"Emoji", "Emoji_Presentation", "Extended_Pictographic", "Emoji_Component"}:
        ranges = _EMOJI
    elif re.fullmatch(r"[LMNPSZ][a-z]?", name):
        is_negative = found[0][0] == "P"
        ranges = of_category((name,)) if is_negative else common_of(name)
    else:
        raise UnsupportedPattern(f"'\\{found[0]}'")
    return both(ALL, others(ranges)) if found[0][0] == "P" else ranges


def _followed(part: Any, rest: Any, *, is_start: bool) -> Any:  # noqa: PLR0911 - one a kind
    """Texts that ``part`` begins and ``rest`` ends; ``is_start``: nothing stands before."""
    if isinstance(part, Anchor):
        if part.is_end:
            return EMPTY if has_empty(rest) else NOTHING
        return rest if is_start else NOTHING
    if isinstance(part, Look):
        seen = _followed(part.part, ANYTHING, is_start=is_start)
        return Both((Complement(seen) if part.is_negative else seen, rest))
    if not _asserts(part):
        return chain(part, rest)
    if isinstance(part, Choice):
        return choice(*(_followed(each, rest, is_start=is_start) for each in part.parts))
    if isinstance(part, Chain):
        starts, begun = [], is_start
        for each in part.parts:
            starts.append(begun)
            begun = begun and isinstance(each, (Anchor, Look))
        for each, starting in zip(reversed(part.parts), reversed(starts), strict=True):
            rest = _followed(each, rest, is_start=starting)
        return rest
    if part.most is None or part.most > _EXPANDED:
        raise UnsupportedPattern("an assertion inside of a repetition")
    found = [EMPTY] * (part.least == 0)
    found += [Chain((part.part,) * count) for count in range(max(1, part.least), part.most + 1)]
    return _followed(Choice(tuple(found)), rest, is_start=is_start)


def _asserts(part: Any) -> bool:
    if isinstance(part, (Anchor, Look)):
        return True
    if isinstance(part, (Chain, Choice)):
        return any(_asserts(each) for each in part.parts)
    return isinstance(part, Repeat) and _asserts(part.part)


def _has(part: Any, wanted: Anchor) -> bool:
    if isinstance(part, (Chain, Choice)):
        return any(_has(each, wanted) for each in part.parts)
    if isinstance(part, (Repeat, Look)):
        return _has(part.part, wanted)
    return bool(part == wanted)


def _always_starts(part: Any) -> bool:
    if isinstance(part, Choice):
        return all(_always_starts(each) for each in part.parts)
    if isinstance(part, Chain):
        return bool(part.parts) and _always_starts(part.parts[0])
    return bool(part == Anchor(is_end=False))
