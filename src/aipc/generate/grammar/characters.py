"""Sets of characters: what classes of patterns hold, and how JSON writes each character."""

from __future__ import annotations

import sys
import unicodedata
from functools import lru_cache

from aipc.runtimes.grammars.grammar import (
    ALL,
    Chars,
    Node,
    Ranges,
    Word,
    both,
    choice,
    joined,
    others,
)

_ESCAPES = {8: r"\b", 9: r"\t", 10: r"\n", 12: r"\f", 13: r"\r", 34: r"\"", 92: r"\\"}

PLAIN = both(ALL, others(joined((code, code) for code in (*range(0x20), 34, 92))))
"""What stands in a JSON text as it is."""
DIGIT: Ranges = ((0x30, 0x39),)
WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
SPACE: Ranges = ((9, 10), (12, 13), (0x20, 0x20))
_ANY_SPACE = joined(
    (
        *((9, 13), (0x1C, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
        *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)),
        (0xFEFF, 0xFEFF),
    )
)
LINE_ENDS: Ranges = ((10, 10), (13, 13), (0x85, 0x85), (0x2028, 0x2029))

_LATIN_END, _SHORT_RUN = 0x250, 12
SHORTHANDS = {"d": DIGIT, "w": WORD, "s": SPACE}
"""Of these, dialects of patterns agree that they are in; others differ beyond ASCII."""


def not_shorthand(letter: str) -> Ranges:
    r"""What every dialect finds outside \d, \w or \s."""
    if letter == "s":
        return both(ALL, others(_ANY_SPACE))
    categories = ("Nd",) if letter == "d" else ("L", "M", "N", "Pc")
    return both(ALL, others(joined((*of_category(categories), *SHORTHANDS[letter]))))


def common_of(category: str) -> Ranges:
    """Of a category what costs engines little: no short runs beyond the Latin letters."""
    return tuple(
        (first, last)
        for first, last in of_category((category,))
        if first < _LATIN_END or last - first >= _SHORT_RUN
    )


@lru_cache(maxsize=64)
def of_category(categories: tuple[str, ...]) -> Ranges:
    """Characters whose Unicode category begins with one of ``categories``."""
    found: list[tuple[int, int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)).startswith(categories):
            if found and found[-1][1] == code - 1:
                found[-1] = (found[-1][0], code)
            else:
                found.append((code, code))
    return both(ALL, tuple(found))


def written(ranges: Ranges) -> Node:
    """One character of the set, as it stands between the quotes of a JSON text."""
    ranges = both(ranges, ALL)
    escaped = [
        Word(text)
        for code, text in _ESCAPES.items()
        if any(first <= code <= last for first, last in ranges)
    ]
    plain = both(ranges, PLAIN)
    return choice(*([Chars(plain)] if plain else []), *escaped)
