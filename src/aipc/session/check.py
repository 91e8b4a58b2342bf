"""An artifact judged by the checkpoint that it was made from: what it lost, or whether it broke."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aipc.convert.quality import ConversionQuality, ReadingQuality, greatest_loss, rounded_as
from aipc.convert.recipe import Recipe
from aipc.errors import ConversionError, UnsupportedModel
from aipc.progress import Progress

if TYPE_CHECKING:
    from aipc.checkpoint import Checkpoint


class BrokenArtifact(ConversionError):
    """It keeps less of the float model than any sound artifact of its recipe."""


class ConversionCheck(Protocol):
    """Compares the two on a text; `aipc.measure.quality.check.TextCheck` does."""

    @property
    def tokens(self) -> int:
        """How many both read."""

    def __call__(
        self, checkpoint: Checkpoint, artifact: Path, progress: Progress
    ) -> ConversionQuality | ReadingQuality:
        """Measure it.

        Raises:
            AipcError: it can't be measured, or the artifact can't be run.
        """


def judge(
    check: ConversionCheck,
    recipe: Recipe,
    facts: Mapping[str, Any],
    checkpoint: Checkpoint,
    artifact: Path,
    progress: Progress,
) -> ConversionQuality | ReadingQuality:
    """What the artifact of these ``facts`` keeps of the float model.

    Raises:
        BrokenArtifact: too little.
        UnsupportedModel: a network that only a vendor's exporter knows.
        AipcError: as ``check``.
    """
    try:
        found = check(checkpoint, artifact, progress)
    except UnsupportedModel as unknown:
        raise uncheckable(unknown) from unknown
    other = {"int4": "int8", "int8": "fp16"}.get(recipe.weight_format)
    advice = (
        f"try --weight-format {other}, and report this recipe"
        if other
        else "report this model: 16 bits lose nothing by themselves"
    )
    if isinstance(found, ReadingQuality):
        if found.is_broken(recipe):
            raise BrokenArtifact(f"the artifact is broken: {found}", advice)
        return found
    judged = rounded_as(recipe, facts.get("encodings", {}).values())
    most = greatest_loss(judged or Recipe("int8"))
    if not found.kl <= most:
        raise BrokenArtifact(
            f"the artifact is broken: its next tokens lie {found.kl:.2g} nats from the float "
            f"model's, and those of sound ones of its recipe {most:.2g} at most",
            advice,
        )
    return found


def uncheckable(unknown: UnsupportedModel) -> UnsupportedModel:
    return UnsupportedModel(
        f"{unknown.what}, so there is nothing to check an artifact against", "leave out --check"
    )
