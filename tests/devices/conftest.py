"""Recorded machines: trees of /proc and /sys, and an OpenVINO that answers from a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MACHINES = Path(__file__).with_name("machines")
_LINK = "-> "


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """Write files by their path below the root, "-> TARGET" as a link; give the root."""

    def write(files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith(_LINK):
                path.symlink_to(text.removeprefix(_LINK))
            else:
                path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def recorded(tree: Callable[[Mapping[str, str]], Path]) -> Callable[[str], Path]:
    """The root of a machine recorded in machines/NAME.txt: lines "PATH = CONTENT" or "PATH -> TO".

    ``\\n`` in a content is a new line.
    """

    def lay_out(name: str) -> Path:
        lines = (MACHINES / f"{name}.txt").read_text("utf-8").splitlines()
        return tree(dict(map(_entry, filter(_is_entry, lines))))

    return lay_out


def _is_entry(line: str) -> bool:
    return bool(line) and not line.startswith("#")


def _entry(line: str) -> tuple[str, str]:
    path, mark, content = line.partition(" -> ")
    if mark:
        return path, _LINK + content
    path, _, content = line.partition(" =")
    return path, content.lstrip(" ").replace("\\n", "\n") + "\n"


@dataclass
class RecordedCore:
    """Property values by device; an exception in a value's place is raised."""

    table: dict[str, dict[str, Any]]

    @property
    def available_devices(self) -> list[str]:
        return list(self.table)

    def get_property(self, device: str, name: str) -> Any:
        if name == "SUPPORTED_PROPERTIES":
            return dict.fromkeys(self.table[device], "RO")
        value = self.table[device][name]
        if isinstance(value, Exception):
            raise value
        return value


@pytest.fixture
def recorded_core() -> type[RecordedCore]:
    return RecordedCore
