"""Networks that have no graph here: the vendor's own exporter, in a process of its own.

Exporters need torch, so they are an extra (``pip install 'aipc[export]'``).  No code of the
model's own is ever run: a checkpoint that asks for it is refused by them.
"""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from aipc.convert.recipe import Recipe
from aipc.convert.targets import Target
from aipc.errors import ConversionError
from aipc.progress import Progress, silent

SHARES = {"fp16": 1.0, "int8": 0.55, "int4": 0.35}
"""Of a 16-bit checkpoint's bytes, generously: the room to ask for."""


@dataclass(frozen=True)
class Export(ABC):
    """An export of the checkpoint folder ``source``; one subclass an exporter."""

    source: Path
    recipe: Recipe
    target: Target

    exporter: ClassVar[str]
    """Its name for people."""
    modules: ClassVar[tuple[str, ...]]
    """What has to be installed, as Python imports it."""
    packages: ClassVar[tuple[str, ...]]
    """The same as the package index calls it."""

    @classmethod
    def is_installed(cls) -> bool:
        return all(_is_there(module) for module in cls.modules)

    @classmethod
    def misfit(cls, recipe: Recipe) -> str:
        """The flags to give instead of what this exporter does not have; empty when it can."""
        return "--quantizer rtn" if recipe.is_calibrated else ""

    @property
    def nbytes(self) -> int:
        """About the disk that it will take, in bytes."""
        weights = sum(file.stat().st_size for file in self.source.glob("*.safetensors"))
        return int(weights * SHARES[self.recipe.weight_format])

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the artifact's manifest says of it."""
        return {
            "runtime": self.target.runtime,
            "target": self.target.name,
            "exporter": self.exporter,
            "recipe": asdict(self.recipe),
            "notes": [f"made by {self.exporter}, which has the whole model in memory"],
            "versions": {name: metadata.version(name) for name in self.packages},
        }

    def write(self, folder: Path, progress: Progress = silent) -> None:
        """Fill the empty ``folder``, and check what came.

        Raises:
            ConversionError: the exporter failed, or left something out.
        """
        progress(f"exporting with {self.exporter}", 0, 0)
        done = subprocess.run(
            self.command(folder), capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            raise ConversionError(
                f"{self.exporter} can't export '{self.source.name}': {_last_line(done.stderr)}",
                "choose a network that aipc knows, or an artifact made elsewhere",
            )
        self.finish(folder)

    @abstractmethod
    def command(self, folder: Path) -> list[str]:
        """What runs in the child process."""

    @abstractmethod
    def finish(self, folder: Path) -> None:
        """Mend and check what the exporter left in ``folder``."""


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package above it
        return False


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it gave no reason"
