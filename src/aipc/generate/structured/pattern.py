"""Regular expressions in schemas, held to limits; what of them it enforces, a runtime knows."""

from __future__ import annotations

import re
from typing import Any

from aipc.errors import UsageError
from aipc.generate.structured.schema import check_limit

MAX_CHARACTERS = 512
MAX_REPEATS = 256
"""Product of the largest counts, {n} or {n,m}: compilers write repetitions out."""
_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")


def check_pattern(pattern: Any, where: str) -> int:
    """Refuse a pattern beyond a limit; its repetitions.

    Raises:
        UsageError: naming ``where`` it stands.
    """
    if not isinstance(pattern, str):
        raise UsageError(f"the pattern {where} is no text: {pattern!r:.40}")
    check_limit(f"the pattern {where}", len(pattern), MAX_CHARACTERS, "characters")
    repeats = 1
    for least, most in _REPEAT.findall(pattern):
        repeats *= max(1, int(least), int(most or 0))
    check_limit(f"the pattern {where}", repeats, MAX_REPEATS, "repetitions")
    return repeats
