"""Hashes of files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Advance = Callable[[int], None]
"""Called with the bytes read since the last call."""

_CHUNK = 1 << 20


def sha256(path: Path, advance: Advance | None = None) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return _digest(hashlib.sha256(), path, advance)


def git_blob(path: Path) -> str:
    """The id that git gives to a file's contents, in hexadecimal.

    Source: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    """
    header = f"blob {path.stat().st_size}\0".encode()
    return _digest(hashlib.sha1(header, usedforsecurity=False), path, None)


def _digest(algorithm: Any, path: Path, advance: Advance | None) -> str:
    # Not hashlib.file_digest: Python 3.10 lacks it, and it tells nobody how far it is.
    buffer = memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            algorithm.update(buffer[:count])
            if advance is not None:
                advance(count)
    digest: str = algorithm.hexdigest()
    return digest
