"""Networks that have no graph here: the vendor's own exporter, in a child process.

Exporters need torch, so they are an extra, "export" (docs/install.md).  They
refuse a checkpoint that needs code of its own, so that none is ever run.
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
"""Upper bounds of an artifact's size, as shares of a 16-bit checkpoint's."""


@dataclass(frozen=True)
class Export(ABC):
    """An export of the checkpoint folder ``source``; one subclass per exporter."""

    source: Path
    recipe: Recipe
    target: Target
    parameters: int
    """The checkpoint's, all of them."""

    exporter: ClassVar[str]
    """Its name in messages."""
    modules: ClassVar[tuple[str, ...]]
    """The required modules."""
    packages: ClassVar[tuple[str, ...]]
    """Their packages on PyPI."""

    @classmethod
    def is_installed(cls) -> bool:
        try:
            return all(find_spec(module) is not None for module in cls.modules)
        except ModuleNotFoundError:  # of the package above a module
            return False

    @classmethod
    def misfit(cls, recipe: Recipe) -> str:
        """The flags to use instead, where this exporter can't do the recipe; else empty."""
        if recipe.embedding != Recipe.embedding:
            return f"--embedding {Recipe.embedding}"
        return "--quantizer rtn" if recipe.is_calibrated else ""

    @property
    def nbytes(self) -> int:
        """About the size of the artifact on the disk."""
        weights = sum(file.stat().st_size for file in self.source.glob("*.safetensors"))
        return int(weights * SHARES[self.recipe.weight_format])

    @property
    def room(self) -> int:
        """As `ConversionPlan.room`; nobody knows what the exporter writes on its way."""
        return self.nbytes

    @property
    def facts(self) -> Mapping[str, Any]:
        """The export's part of the artifact's manifest."""
        return {
            "runtime": self.target.runtime,
            "target": self.target.name,
            "exporter": self.exporter,
            "parameters": self.parameters,
            "recipe": asdict(self.recipe),
            "notes": [f"made by {self.exporter}, which has the whole model in memory"],
            "versions": {name: metadata.version(name) for name in self.packages},
        }

    def write(self, folder: Path, progress: Progress = silent) -> None:
        """Export into the empty ``folder``, and check the result.

        Raises:
            ConversionError: the exporter failed, or left something out.
        """
        progress(f"exporting with {self.exporter}", 0, 0)
        done = subprocess.run(
            self.command(folder), capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            reason = lines[-1][:200] if lines else "it gave no reason"
            raise ConversionError(
                f"{self.exporter} can't export '{self.source.name}': {reason}",
                "choose a network that aipc knows, or an artifact made elsewhere",
            )
        self.finish(folder)

    @abstractmethod
    def command(self, folder: Path) -> list[str]:
        """The child process's command line."""

    @abstractmethod
    def finish(self, folder: Path) -> None:
        """Complete and check the exporter's files in ``folder``."""
