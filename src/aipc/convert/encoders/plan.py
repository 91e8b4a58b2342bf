"""A conversion of an encoder planned before any weight is written, whatever the format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from aipc.artifact.sentence_model import keeps_logits, read_sentence_model, settings_files
from aipc.checkpoint import Checkpoint
from aipc.convert.encoders.network import EncoderNetwork
from aipc.convert.encoders.reader import read_encoder
from aipc.convert.layout import Layout
from aipc.convert.plan import TEXT_FILES_BYTES, check_openvino
from aipc.convert.recipe import Encoding, Recipe, assign
from aipc.convert.targets import SMALL_PARAMETERS, Target
from aipc.convert.weights_file import check_vectors, write_weights
from aipc.errors import UsageError
from aipc.progress import Progress, silent

if TYPE_CHECKING:
    from typing_extensions import Self

_COARSE = (
    "4 bits are coarse for so small an encoder: the vectors of all-MiniLM-L6-v2 turn by a cosine of"
    " 0.90, and of 0.997 in int8"
)


@dataclass(frozen=True)
class EncoderPlan(ABC):
    """What will be written, and how large it will be; one subclass per format.

    Codes are rounded to nearest: what a token's own scores are does not show what a text's vector
    loses, so scales are searched for nothing.
    """

    checkpoint: Checkpoint
    network: EncoderNetwork
    recipe: Recipe
    target: Target
    encodings: Mapping[str, Encoding]
    layout: Layout

    packages: ClassVar[tuple[str, ...]]
    """Packages whose versions the manifest records."""
    weights_file: ClassVar[str]
    steps_per_token: ClassVar[int]
    steps_per_block: ClassVar[int]
    """As `ConversionPlan` has them."""

    @classmethod
    def plan(cls, checkpoint: Checkpoint, recipe: Recipe, target: Target) -> Self:
        """Check everything that can be checked before starting.

        Raises:
            CheckpointError, UnsupportedModel: as `read_encoder` and `check_vectors` do.
            ArtifactError: sentence-transformers' files ask for what is not known here.
            UsageError: a recipe that reads calibration text.
            ConversionError: a package that is not installed, a target that runs no encoder.
        """
        cls.check(target)
        check_openvino(recipe, target)
        if recipe.is_calibrated:
            raise UsageError(
                f"--quantizer {recipe.quantizer} reads what a network writes, and this one is an"
                " encoder",
                "leave it out",
            )
        network = read_encoder(checkpoint)
        if network.head is None:
            read_sentence_model(checkpoint.path)
        else:
            keeps_logits(checkpoint.path)
        check_vectors(checkpoint, network.vectors())
        encodings = cls.fit(network, assign(network, recipe, target.groups))
        layout = cls.lay_out(network, encodings, target)
        return cls(checkpoint, network, recipe.rounded, target, encodings, layout)

    @classmethod
    @abstractmethod
    def check(cls, target: Target) -> None:
        """Raise ConversionError for a target that runs no encoder."""

    @classmethod
    def fit(
        cls, network: EncoderNetwork, encodings: Mapping[str, Encoding]
    ) -> Mapping[str, Encoding]:
        """The nearest encodings that the format has."""
        del network
        return encodings

    @classmethod
    @abstractmethod
    def lay_out(
        cls, network: EncoderNetwork, encodings: Mapping[str, Encoding], target: Target
    ) -> Layout: ...

    def write(self, folder: Path, progress: Progress = silent) -> None:
        """As `ConversionPlan.write`."""
        progress("converting the tokenizer", 0, 0)
        self.write_text(folder)
        write_weights(self.checkpoint, self.layout, folder / self.weights_file, progress)
        self.write_graph(folder)

    def write_text(self, folder: Path) -> None:
        """Write the configuration and the tokenizer, as the format's runtime reads them."""
        self.checkpoint.write_text_files(folder)

    @abstractmethod
    def write_graph(self, folder: Path) -> None:
        """Write the graph into ``folder``, which holds the weights."""

    def again(self, recipe: Recipe) -> Self:
        """The same conversion with another recipe."""
        return self.plan(self.checkpoint, recipe, self.target)

    @property
    def nbytes(self) -> int:
        """Size of the artifact on the disk, an upper bound."""
        return self.layout.nbytes + TEXT_FILES_BYTES + module_bytes(self.checkpoint.path)

    @property
    def room(self) -> int:
        """Bytes that the disk needs while it is written, an upper bound."""
        return self.nbytes

    @property
    def facts(self) -> Mapping[str, Any]:
        """The conversion's part of the artifact's manifest."""
        return {
            "runtime": self.target.runtime,
            "target": self.target.name,
            "task": "embeddings" if self.network.head is None else "scores",
            "model_type": self.network.model_type,
            "parameters": self.network.parameters,
            "context": self.network.context,
            "recipe": asdict(self.recipe),
            "encodings": {name: asdict(encoding) for name, encoding in self.encodings.items()},
            "notes": list(self.notes),
            "quality": None,
            "versions": {name: version(name) for name in self.packages},
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the checkpoint was left out, and what the recipe does to a small network."""
        is_coarse = self.recipe.weight_format == "int4"
        small = is_coarse and self.network.parameters < SMALL_PARAMETERS
        return (*self.checkpoint.notes, *((_COARSE,) if small else ()))


def module_bytes(folder: Path) -> int:
    """Size of what sentence-transformers has in ``folder``, Dense modules' weights above all."""
    return sum(file.stat().st_size for file in settings_files(folder))
