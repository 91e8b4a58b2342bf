"""A conversion of an encoder planned before any weight is written, whatever the format."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.artifact.sentence_model import keeps_logits, read_sentence_model, settings_files
from aipc.checkpoint import Checkpoint
from aipc.convert.encoders.network import EncoderNetwork
from aipc.convert.encoders.reader import read_encoder
from aipc.convert.plans.plan import ConversionPlan, check_openvino
from aipc.convert.recipe import Recipe, assign
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
class EncoderPlan(ConversionPlan):
    """Of a network that reads texts whole; one subclass per format.

    Codes are rounded to nearest: what a token's own scores are does not show what a text's vector
    loses, so scales are searched for nothing.
    """

    network: EncoderNetwork

    @classmethod
    def plan(
        cls, checkpoint: Checkpoint, recipe: Recipe, target: Target, progress: Progress = silent
    ) -> Self:
        """As `ConversionPlan.plan`.

        Raises:
            CheckpointError, UnsupportedModel: as `read_encoder` and `check_vectors` do.
            ArtifactError: sentence-transformers' files ask for what is not known here.
            UsageError: a recipe that reads calibration text.
            ConversionError: a package that is not installed, a target that runs no encoder.
        """
        del progress
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
        encodings = cls.fit(network, assign(network, recipe, target.groups), target)
        layout = cls.lay_out(network, encodings, target)
        return cls(checkpoint, network, recipe.rounded, target, encodings, layout)

    @classmethod
    @abstractmethod
    def check(cls, target: Target) -> None:
        """Raise ConversionError for a target that runs no encoder."""

    def write_weights(self, path: Path, progress: Progress = silent) -> None:
        write_weights(self.checkpoint, self.layout, path, progress)

    @property
    def nbytes(self) -> int:
        return super().nbytes + module_bytes(self.checkpoint.path)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Moreover what it is for; nobody knows what it is expected to lose."""
        task = "embeddings" if self.network.head is None else "scores"
        return {**super().facts, "task": task, "quality": None}

    @property
    def notes(self) -> tuple[str, ...]:
        is_coarse = self.recipe.weight_format == "int4"
        small = is_coarse and self.network.parameters < SMALL_PARAMETERS
        return (*self.checkpoint.notes, *((_COARSE,) if small else ()))


def module_bytes(folder: Path) -> int:
    """Size of what sentence-transformers has in ``folder``, Dense modules' weights above all."""
    return sum(file.stat().st_size for file in settings_files(folder))
