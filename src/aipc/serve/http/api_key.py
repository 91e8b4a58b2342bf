"""The key that clients show: where it is read from, and how it is compared."""

from __future__ import annotations

import hmac
import os
from pathlib import Path

from aipc.errors import UsageError

VARIABLE = "AIPC_API_KEY"
_SHORTEST = 16


def read_key(file: Path | None) -> str | None:
    """The key of ``file`` or, without one, of the environment; None without either.

    Raises:
        UsageError: the file can't be read, or what it holds is no key.
    """
    if file is None:
        key = os.environ.get(VARIABLE, "")
        return _checked(key, VARIABLE) if key else None
    try:
        key = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't read the key from '{file}'", "give another file") from error
    return _checked(key.strip(), f"'{file}'")


def is_shown(key: str, authorization: bytes) -> bool:
    """Whether a header says ``Bearer KEY``; takes the same time wherever it differs."""
    scheme, _, shown = authorization.partition(b" ")
    is_bearer = scheme.lower() == b"bearer"
    return hmac.compare_digest(shown.strip(), key.encode()) and is_bearer


def _checked(key: str, where: str) -> str:
    if len(key) < _SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            f"the key in {where} can't be used",
            f"take {_SHORTEST} or more letters, digits and signs, without a space",
        )
    return key
