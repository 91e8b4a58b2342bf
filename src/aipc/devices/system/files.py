"""Small files of the kernel, of one value each; any may be absent or forbidden."""

from __future__ import annotations

from pathlib import Path


def read_text(file: Path) -> str | None:
    """The content without surrounding white space; None when it can't be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def rapl_packages(root: Path) -> list[Path]:
    """The folders of the processor packages' energy counters.

    Domains within a package ("intel-rapl:0:0") are counted in it already.
    """
    return sorted((root / "sys/class/powercap").glob("intel-rapl:[0-9]"))


def read_number(file: Path) -> int | None:
    """The whole number that the file holds; None when it can't be read or holds none."""
    text = read_text(file)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
