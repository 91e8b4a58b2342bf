"""Data files that come with the package: TOML beside the module that reads it."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_table(package: str | None, name: str) -> dict[str, Any]:
    """The content of a TOML file of ``package``, a module's ``__package__``."""
    if package is None:
        raise TypeError("a module outside a package has no data files")
    return tomllib.loads(resources.files(package).joinpath(name).read_text(encoding="utf-8"))


def read_toml(file: Path) -> dict[str, Any]:
    """The content of a TOML file on the disk."""
    return tomllib.loads(file.read_text(encoding="utf-8"))
