"""What was typed in chats, kept across runs in a file that only its owner reads."""

from __future__ import annotations

import os
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from aipc.cli.screen.output import notice

FILE = "chat_history"
LARGEST = 1_000_000
"""Bytes from which on the older half is forgotten."""


def open_history(home: Path, *, is_kept: bool) -> History:
    """That of the store at ``home``; one of this run alone where none is to be kept, or can be."""
    if not is_kept:
        return InMemoryHistory()
    path = home / FILE
    try:
        home.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600))
        path.chmod(0o600)
        _shorten(path)
    except OSError as error:
        notice(f"what you type is not kept: can't write '{path}' ({error.strerror})")
        return InMemoryHistory()
    return KeptHistory(str(path))


class KeptHistory(FileHistory):
    """A full disk costs the history, not the chat."""

    def store_string(self, string: str) -> None:
        try:
            super().store_string(string)
        except OSError as error:
            notice(f"what you type is not kept: {error.strerror}")


def _shorten(path: Path) -> None:
    """Each entry begins behind an empty line, with one that has the time."""
    data = path.read_bytes()
    if len(data) <= LARGEST:
        return
    cut = data.find(b"\n\n# ", len(data) // 2)
    kept = data[cut + 1 :] if cut >= 0 else b""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(kept)
