"""Text files that go with the next message of a chat."""

from __future__ import annotations

from pathlib import Path

from aipc.errors import UsageError
from aipc.units import amount, count

LARGEST = 4 * 10**6
"""Bytes of a file: more than any context holds."""


class Attachments:
    """What was attached and not sent yet; a file that is attached again is read anew."""

    def __init__(self) -> None:
        self._texts: dict[Path, str] = {}

    def add(self, path: Path) -> str:
        """Read a file; what was read, in words.

        Raises:
            UsageError: it is no text file that can be read.
        """
        text = _read(path)
        self._texts[path.absolute()] = text
        lines = text.count("\n") + (not text.endswith("\n"))
        return f"{path.name}, {count(lines, 'line')}"

    def clear(self) -> None:
        self._texts.clear()

    def __len__(self) -> int:
        return len(self._texts)

    def joined(self, question: str) -> str:
        """The message: each file's text in a fence longer than any within it, then the question."""
        parts = []
        for path, text in self._texts.items():
            fence = "```"
            while fence in text:
                fence += "`"
            parts.append(f"{path.name}:\n{fence}\n{text.rstrip()}\n{fence}")
        return "\n\n".join([*parts, question])


def _read(path: Path) -> str:
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is no file"
            raise UsageError(f"'{path}' {what}", "name a text file")
        if path.stat().st_size > LARGEST:
            what = f"'{path}' has {amount(path.stat().st_size)}, and {amount(LARGEST)} is the most"
            raise UsageError(what, "name a shorter one")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"can't read '{path}' ({error.strerror})", "name a text file") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"'{path}' is not UTF-8 text", "save it as UTF-8") from error
    if "\0" in text:
        raise UsageError(f"'{path}' is no text", "name a text file")
    if not text.strip():
        raise UsageError(f"'{path}' is empty", "name another file")
    return text
