"""A conversion of a network that writes text; one subclass per format."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from aipc.artifact.files import TOKENIZER
from aipc.checkpoint import Checkpoint, Weights
from aipc.convert.carried import carry, describe, read_grids
from aipc.convert.families.network_reader import read_network
from aipc.convert.network import Network
from aipc.convert.plans.plan import ConversionPlan, check_openvino
from aipc.convert.quality import expected_quality, rounded_as
from aipc.convert.quantizers.activations import forward, random_tokens
from aipc.convert.quantizers.awq import Folded, choose_scales
from aipc.convert.quantizers.calibrated import (
    PREPARE,
    choose_eight_bits,
    lookup_in_order,
    measure_quantization_error,
    quantize_calibrated,
)
from aipc.convert.quantizers.calibration import CALIBRATION_TOKENS, Calibration, read_calibration
from aipc.convert.quantizers.search import release
from aipc.convert.recipe import GROUP_SIZES, WHOLE_ROW, Recipe, assign
from aipc.convert.targets import Target
from aipc.convert.weights_file import (
    Lookup,
    check_vectors,
    round_all,
    write_searched,
    write_weights,
)
from aipc.disk import scratch
from aipc.errors import ConversionError, UnsupportedModel, UsageError
from aipc.progress import Progress, silent

if TYPE_CHECKING:
    from typing_extensions import Self

SENSITIVITY_WINDOWS = 4


@dataclass(frozen=True)
class DecoderPlan(ConversionPlan):
    """Of a network that writes text."""

    network: Network
    calibration: Calibration | None
    of_source: tuple[str, ...] = ()
    """What of the checkpoint's own codes is kept, and what is rounded a second time."""

    writes_text: ClassVar[bool] = True

    @classmethod
    def plan(
        cls, checkpoint: Checkpoint, recipe: Recipe, target: Target, progress: Progress = silent
    ) -> Self:
        """Check everything that can be checked before starting.

        With a ratio below 1 this runs the network once, to measure which matrices need 8 bits
        (unless all are rounded to nearest).

        Raises:
            CheckpointError, UnsupportedModel: as `read_network` and `check_vectors` do.
            UsageError: a calibration text that can't be used, or an option without effect on the
                network.
            ConversionError: a package that is not installed, a network that the target can't run.
        """
        check_openvino(recipe, target)
        network = cls.arrange(read_network(checkpoint))
        if cls.writes_text and not network.causal:
            raise UnsupportedModel(
                f"'{checkpoint.path}' reads texts from both ends, and can't write any",
                "it makes embeddings where sentence-transformers' modules.json is beside it",
            )
        cls.check(network, target)
        check_vectors(checkpoint, network.vectors())
        if recipe.embedding != Recipe.embedding and not network.lookups:
            raise UsageError(
                f"--embedding {recipe.embedding} means nothing for this model: its embedding is "
                "its head too",
                "leave it out, or give --all-layers for both",
            )
        calibration = _calibration(checkpoint, recipe) if recipe.is_calibrated else None
        encodings = dict(cls.fit(network, assign(network, recipe, target.groups), target))
        grids = read_grids(checkpoint, network) if recipe.carries else {}
        carried = cls.fit(network, encodings | carry(network, grids, encodings, target), target)
        carried = {name: encoding for name, encoding in carried.items() if encoding.carried}
        if recipe.quantizer != "rtn" and recipe.ratio < 1:
            progress("measuring which matrices need 8 bits", 0, 0)
            all_in_four = assign(network, replace(recipe, ratio=1.0), target.groups)
            windows = random_tokens(network)
            if calibration is not None:
                windows = calibration.ids[:SENSITIVITY_WINDOWS]
            errors = measure_quantization_error(checkpoint, network, all_in_four | carried, windows)
            kept = choose_eight_bits(errors, recipe.ratio)
            encodings = dict(cls.fit(network, assign(network, recipe, target.groups, kept), target))
        encodings = dict(cls.fit(network, encodings | carried, target))
        layout = cls.lay_out(network, encodings, target)
        notes = tuple(describe(checkpoint, network, grids, encodings))
        return cls(checkpoint, network, recipe, target, encodings, layout, calibration, notes)

    @classmethod
    def arrange(cls, network: Network) -> Network:
        """The same network with matrices joined as the format has them."""
        return network

    @classmethod
    @abstractmethod
    def check(cls, network: Network, target: Target) -> None:
        """Raise ConversionError for a network that the target can't run."""

    @property
    def notes(self) -> tuple[str, ...]:
        whole = (f"16 bits for matrices {one} wide, which no block divides" for one in self._wide)
        return (*self.checkpoint.notes, *self.of_source, *self._groups_told, *whole)

    @property
    def _groups_told(self) -> list[str]:
        """Of the matrices in 4 bits that have other groups than the recipe's."""
        stated = self.recipe.group_size
        if self.recipe.weight_format != "int4" or stated == WHOLE_ROW:
            return []
        # an embedding with a format of its own has its own groups
        own = self.network.lookups if self.recipe.embedding == "int4" else ()
        narrower = {
            (stored.matrix.columns, stored.encoding.group)
            for stored in self.layout.matrices.values()
            if stored.encoding.bits == 4 and stored.encoding.group != stated
            if stored.matrix not in own and not stored.encoding.carried
        }
        return [
            f"{'a scale a row' if group == columns else f'group size {group}'} for matrices "
            f"{columns} wide, which {stated} does not divide"
            for columns, group in sorted(narrower)
        ]

    @property
    def _wide(self) -> list[int]:
        """Widths of the matrices that have 16 bits, since none of the recipe's blocks fits."""
        if self.recipe.weight_format == "fp16":
            return []
        whole = (one for one in self.layout.matrices.values() if one.encoding.bits == 16)
        widths = {one.matrix.columns for one in whole}
        return sorted(width for width in widths if width % GROUP_SIZES[0])

    @property
    def _has_whole_rows(self) -> bool:
        """Whether a matrix has whole rows of 4 bits where the recipe has groups."""
        stated = self.recipe.group_size
        stored = (one.encoding for one in self.layout.matrices.values() if not one.encoding.carried)
        return stated != WHOLE_ROW and any(one.bits == 4 and one.group > stated for one in stored)

    @property
    def _is_carried(self) -> bool:
        """Whether nothing is left to round."""
        return all(encoding.carried for encoding in self.encodings.values())

    @property
    def facts(self) -> Mapping[str, Any]:
        """Moreover what it was calibrated with, and what it is expected to lose."""
        judged = rounded_as(self.recipe, map(asdict, self.encodings.values()))
        known = None if self._has_whole_rows else judged
        expected = None if known is None else expected_quality(known)
        quality = {"quality": None if expected is None else asdict(expected)}
        return {
            **super().facts,
            "rope_switch": self.network.rope_switch,
            "calibration": None if self.calibration is None else self.calibration.facts,
            **({} if judged is None else quality),
        }

    def write_weights(self, path: Path, progress: Progress = silent) -> None:
        try:
            self._write_weights(path, progress)
        finally:
            release()

    def _write_weights(self, path: Path, progress: Progress) -> None:
        lookup: Lookup = round_all
        weights: Weights = self.checkpoint
        if self.recipe.is_searched and not self._is_carried:
            steps = forward(weights, self.network, random_tokens(self.network))
            write_searched(weights, self.layout, path, steps, progress)
            return
        if self.calibration is not None:
            ids, quantizer = self.calibration.ids, self.recipe.quantizer
            if quantizer == "awq":
                progress("choosing the scales of channels", 0, 0)
                scales = choose_scales(weights, self.network, self.encodings, ids)
                weights = Folded(weights, self.network, scales)
            lookup = lookup_in_order(
                quantize_calibrated(weights, self.network, self.encodings, ids, PREPARE[quantizer])
            )
        write_weights(weights, self.layout, path, progress, lookup)


def _calibration(checkpoint: Checkpoint, recipe: Recipe) -> Calibration:
    """The recipe's calibration text in tokens of the checkpoint's own tokenizer."""
    from tokenizers import Tokenizer

    with scratch(ConversionError) as folder:
        checkpoint.write_text_files(folder)
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    return read_calibration(
        recipe.calibration,
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        CALIBRATION_TOKENS,
    )
