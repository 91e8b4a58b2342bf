"""Texts of strangers' making, fit for a terminal and a log: names in models, errors of templates.

A terminal obeys control characters: a model's name could set the window's title, clear what stands
there, or write over it.  Those that turn the direction of a text make it read as another one
(Boucher and Anderson 2021, "Trojan Source").  Both are shown as Python would write them.
"""

from __future__ import annotations

import re

LONGEST, MOST_LINES = 2000, 50
"""Characters of a line, and lines of one message for a person."""
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_BREAKS = "\u2028\u2029"
_UNSEEN = re.compile(f"[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f{_BIDI}{_BREAKS}\\ud800-\\udfff]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def escaped(text: str) -> str:
    """With control characters but line breaks and tabs, and those of direction, as escapes."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(text: str) -> str:
    """`escaped` and `bounded`, without line breaks, tabs and repeated spaces."""
    return bounded(escaped(" ".join(text.split())))


def bounded(text: str, longest: int = LONGEST) -> str:
    """Of `MOST_LINES` lines at most, and ``longest`` characters in each."""
    if len(text) <= longest:
        return text
    lines = text.split("\n", MOST_LINES)[:MOST_LINES]
    return "\n".join(line if len(line) <= longest else f"{line[: longest - 1]}…" for line in lines)


def escaped_json(text: str) -> str:
    """JSON that means the same, and has none of the characters that `escaped` shows."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def without_controls(text: str) -> str:
    """A model's answer for a terminal: line breaks and tabs are all that it may control."""
    return _CONTROL.sub("", text)
