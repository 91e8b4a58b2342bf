"""Regular expressions in schemas: those whose every match stands in JSON as it is.

OpenVINO GenAI puts what a pattern matches between the quotes without escaping it (measured:
`[^a-z]{3}` gave a quote and a line break, and the answer was no JSON).  So what may match a
quote, a backslash or a control character is refused.
"""

from __future__ import annotations

import re
from typing import Any

from aipc.errors import UsageError
from aipc.generate.schema import check_limit

MAX_CHARACTERS = 512
MAX_REPEATS = 256
"""Product of the largest counts, {n} or {n,m}: compilers write repetitions out."""
_PIECE = re.compile(r"\\.?|\[(?:\\.|[^\]\\])*\]|\(\?.?|.", re.DOTALL)
_SIGN = re.compile(r"\\.|.", re.DOTALL)
_SAFE_ESCAPES = frozenset("dw^$.*+?()[]{}|/-")
_ESCAPED_IN_JSON = frozenset(('"', "\\", *map(chr, range(32))))


_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")


def check_pattern(pattern: Any, where: str) -> int:
    """Refuse a pattern that can't be enforced inside a JSON string; its repetitions.

    Raises:
        UsageError: naming what of it, and ``where`` it stands.
    """
    if not isinstance(pattern, str):
        raise UsageError(f"the pattern {where} is no text: {pattern!r:.40}")
    check_limit(f"the pattern {where}", len(pattern), MAX_CHARACTERS, "characters")
    for piece in _PIECE.findall(pattern):
        if _is_risky(piece):
            raise UsageError(
                f"'{piece}' in the pattern {where} can't be enforced in a JSON string",
                r"list the characters that it may be, as in [a-z0-9 ]; \d and \w are known too",
            )
    repeats = 1
    for least, most in _REPEAT.findall(pattern):
        repeats *= max(1, int(least), int(most or 0))
    check_limit(f"the pattern {where}", repeats, MAX_REPEATS, "repetitions")
    return repeats


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
