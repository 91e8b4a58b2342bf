"""Regular expressions in schemas: those whose every match stands in JSON as it is.

OpenVINO GenAI puts what a pattern matches between the quotes without escaping it (measured:
`[^a-z]{3}` gave a quote and a line break, and the answer was no JSON).  So what may match a
quote, a backslash or a control character is told apart here.  So are an anchor in the middle, which
it passes over (`a^b` allowed "ab"), and alternatives without brackets, of which the quotes become
part (`a|b` allowed `"a` and `b"`).
"""

from __future__ import annotations

import re

_PIECE = re.compile(r"\\.?|\[(?:\\.|[^\]\\])*\]|\(\?.?|.", re.DOTALL)
_SIGN = re.compile(r"\\.|.", re.DOTALL)
_SAFE_ESCAPES = frozenset("dw^$.*+?()[]{}|/-")
_ESCAPED_IN_JSON = frozenset(('"', "\\", *map(chr, range(32))))
_OPENING = frozenset({"(", "(?:", "|"})
_CLOSING = frozenset({")", "|"})


def risky_piece(pattern: str) -> str | None:
    """The first part of ``pattern`` that may match what JSON escapes, or that is not known."""
    pieces: list[str] = _PIECE.findall(pattern)
    depth = 0
    for before, piece, after in zip(["|", *pieces], pieces, [*pieces[1:], "|"], strict=False):
        depth += (piece in {"(", "(?:"}) - (piece == ")")
        if (
            (piece == "|" and depth < 1)
            or (piece == "^" and before not in _OPENING)
            or (piece == "$" and after not in _CLOSING)
            or _is_risky(piece)
        ):
            return piece
    return None


def _is_risky(piece: str) -> bool:
    if piece.startswith("\\"):
        return piece[1:] not in _SAFE_ESCAPES
    if piece.startswith("(?"):
        return piece != "(?:"
    if len(piece) > 1:
        return _is_risky_class(piece[1:-1])
    return piece in _ESCAPED_IN_JSON or piece in {".", "["}


def _is_risky_class(inner: str) -> bool:
    signs = _SIGN.findall(inner)
    ranges = zip(signs, signs[1:], signs[2:], strict=False)
    return (
        inner.startswith("^")
        or any(_is_risky(sign) for sign in signs if sign not in {".", "["})
        or any(
            dash == "-" and any(first[-1] <= sign <= last[-1] for sign in '"\\')
            for first, dash, last in ranges
        )
    )
