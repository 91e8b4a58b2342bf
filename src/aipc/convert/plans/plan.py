"""A conversion planned before any weight is written, whatever the network and the format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from aipc.checkpoint import Checkpoint
from aipc.convert.encoders.network import EncoderNetwork
from aipc.convert.layout import Layout
from aipc.convert.network import Network
from aipc.convert.recipe import Encoding, Recipe
from aipc.convert.targets import Target
from aipc.errors import ConversionError
from aipc.progress import Progress, silent

if TYPE_CHECKING:
    from typing_extensions import Self

TEXT_FILES_BYTES = 32 * 2**20  # tokenizer, its models, the graph: room for all


@dataclass(frozen=True)
class ConversionPlan(ABC):
    """What will be written, and how large it will be."""

    checkpoint: Checkpoint
    network: Network | EncoderNetwork
    recipe: Recipe
    target: Target
    encodings: Mapping[str, Encoding]
    layout: Layout

    packages: ClassVar[tuple[str, ...]]
    """Packages whose versions the manifest records."""
    weights_file: ClassVar[str]
    steps_per_token: ClassVar[int]
    """Work of `write_text` for each token of the vocabulary: entries put into a dictionary in the
    same time (measured beside one another, as are those of a block)."""
    steps_per_block: ClassVar[int]
    """Work of `write_graph` for each of the network's blocks."""

    @classmethod
    @abstractmethod
    def plan(
        cls, checkpoint: Checkpoint, recipe: Recipe, target: Target, progress: Progress = silent
    ) -> Self:
        """Check everything that can be checked before starting.

        Raises:
            AipcError: as each kind of network has it.
        """

    @classmethod
    def fit(
        cls, network: Any, encodings: Mapping[str, Encoding], target: Target
    ) -> Mapping[str, Encoding]:
        """The nearest encodings that the format has; ``network`` is of the plan's kind."""
        del network, target
        return encodings

    @classmethod
    @abstractmethod
    def lay_out(cls, network: Any, encodings: Mapping[str, Encoding], target: Target) -> Layout: ...

    def write(self, folder: Path, progress: Progress = silent) -> None:
        """Write the whole artifact, but for its manifest, into the empty ``folder``.

        Raises:
            ConversionError: weights without a finite value, a tokenizer that can't be converted.
            OSError: the disk is full.
            CheckpointError: a checkpoint that can't be read on.
        """
        progress("converting the tokenizer", 0, 0)
        self.write_text(folder)
        self.write_weights(folder / self.weights_file, progress)
        self.write_graph(folder)

    def write_text(self, folder: Path) -> None:
        """Write the configuration and the tokenizer, as the format's runtime reads them."""
        self.checkpoint.write_text_files(folder)

    @abstractmethod
    def write_weights(self, path: Path, progress: Progress = silent) -> None:
        """Quantize every weight into the file ``path``.

        Raises:
            ConversionError, CheckpointError: as `weights_file.write_weights` does.
        """

    @abstractmethod
    def write_graph(self, folder: Path) -> None:
        """Write the graph into ``folder``, which holds the weights."""

    def again(self, recipe: Recipe) -> Self:
        """The same conversion with another recipe."""
        return self.plan(self.checkpoint, recipe, self.target)

    @property
    def nbytes(self) -> int:
        """Size of the artifact on the disk, an upper bound."""
        return self.layout.nbytes + TEXT_FILES_BYTES

    @property
    def room(self) -> int:
        """Bytes that the disk needs while it is written, an upper bound."""
        return self.nbytes

    @property
    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """Where the artifact differs from the checkpoint's files or the recipe, and why."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """The conversion's part of the artifact's manifest."""
        return {
            "runtime": self.target.runtime,
            "target": self.target.name,
            "model_type": self.network.model_type,
            "parameters": self.network.parameters,
            "context": self.network.context,
            "recipe": asdict(self.recipe),
            "encodings": {name: asdict(encoding) for name, encoding in self.encodings.items()},
            "notes": list(self.notes),
            "versions": {name: version(name) for name in self.packages},
        }


def check_openvino(recipe: Recipe, target: Target) -> None:
    """Refuse what needs OpenVINO where it is not installed: Windows on Arm has no wheel of it."""
    if find_spec("openvino") is not None:
        return
    if target.runtime == "openvino":
        raise ConversionError(
            "OpenVINO is not installed here, so nothing can be converted for it",
            "`aipc convert MODEL --runtime onnx --quantizer rtn` needs none",
        )
    if recipe.is_searched or recipe.is_calibrated:
        raise ConversionError(
            f"OpenVINO is not installed here, and --quantizer {recipe.quantizer} searches with it",
            "`aipc convert MODEL --runtime onnx --quantizer rtn` needs none, or convert elsewhere "
            "and copy the folder",
        )
