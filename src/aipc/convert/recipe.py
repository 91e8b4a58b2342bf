"""The options of a conversion, and the encoding that they give each matrix."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aipc.errors import UsageError
from aipc.options import check, describe, option

if TYPE_CHECKING:
    from aipc.convert.network import Layered

REVISION = 5
"""Part of an artifact's name in the store: raised when the same recipe gives other bytes."""
GROUP_SIZES = (32, 64, 128)
WHOLE_ROW = -1
EMBEDDING_GROUP = 32
BUILTIN = "builtin"

_MEANINGLESS = {
    "fp16": ("group_size", "ratio", "sym", "embedding", "all_layers", "calibration", "requantize"),
    "int8": ("group_size", "ratio", "embedding", "all_layers", "calibration"),
    "int4": (),
}
"""Options without effect on a weight format: giving one is a mistake."""


@dataclass(frozen=True)
class Recipe:
    """How weights are stored; the names and meanings are optimum-cli's."""

    weight_format: str = option(
        "int4",
        "bits of the large matrices",
        choices=("fp16", "int8", "int4"),
        default_words="int4; for a small network int8, if none of the next flags is given",
    )
    group_size: int = option(
        128,
        "int4 weights that share one scale; -1: a whole row; "
        "where it does not divide a width, the largest of 128, 64 and 32 that does",
        choices=(WHOLE_ROW, *GROUP_SIZES),
        default_words="128, or what the device calls for",
    )
    ratio: float = option(
        1.0,
        "share of the blocks' weights in int4, the rest in int8: the matrices that lose most in "
        "int4 or, with --quantizer rtn, the blocks nearest to either end",
        minimum=0.0,
        maximum=1.0,
    )
    sym: bool = option(True, "symmetric (no zero point) or asymmetric quantization")
    embedding: str = option(
        "int8",
        "format of an embedding that is not the head too; int4 (in groups of 32) saves memory for "
        "a little of the model's quality",
        choices=("int8", "int4"),
    )
    all_layers: bool = option(
        False, "embedding and head in int4 as well; without it they keep 8 bits"
    )
    quantizer: str = option(
        "search",
        "how codes are found: rtn rounds to nearest; search looks for the scales that lose least; "
        "awq and gptq read calibration text first, which takes minutes and keeps more of the "
        "model's quality in int4, the last of them most",
        choices=("rtn", "search", "awq", "gptq"),
    )
    calibration: str = option(BUILTIN, "text for awq and gptq: builtin, or a text file of your own")
    requantize: bool = option(
        False,
        "round weights anew that the checkpoint holds as codes which could be kept as they are",
    )

    def __post_init__(self) -> None:
        check(self)
        names = (one.name for one in describe(Recipe) if one.name != "quantizer")
        self.refuse_idle([name for name in names if getattr(self, name) != getattr(Recipe, name)])
        if self.is_calibrated and self.weight_format != "int4":
            raise UsageError(
                f"--quantizer {self.quantizer} is for --weight-format int4",
                f"leave it out: {self.weight_format} loses next to nothing without it",
            )

    def refuse_idle(self, given: Collection[str]) -> None:
        """Refuse what has no effect here of the options ``given``, also as it is by default.

        Raises:
            UsageError: naming the first of them.
        """
        for name in _MEANINGLESS[self.weight_format]:
            says_no = getattr(self, name) is getattr(Recipe, name) is False
            if name in given and not says_no:
                raise UsageError(
                    f"--{name.replace('_', '-')} means nothing with --weight-format "
                    f"{self.weight_format}",
                    "leave it out, or choose int4",
                )
        if self.all_layers and "embedding" in given:
            raise UsageError(
                f"--embedding {self.embedding} means nothing with --all-layers",
                "leave one of them out: the second gives the embedding the blocks' format",
            )
        if self.weight_format == "fp16" and "quantizer" in given:
            what = f"--quantizer {self.quantizer} means nothing with --weight-format fp16"
            raise UsageError(what, "leave it out: nothing is quantized")
        if not self.is_calibrated and "calibration" in given:
            raise UsageError(
                f"--calibration means nothing with --quantizer {self.quantizer}",
                "choose awq or gptq",
            )

    @property
    def is_calibrated(self) -> bool:
        """Whether quantizing reads calibration text."""
        return self.quantizer in {"awq", "gptq"}

    @property
    def carries(self) -> bool:
        """Whether codes that the checkpoint holds are kept; awq's scales change the weights."""
        return not (self.requantize or self.weight_format == "fp16" or self.quantizer == "awq")

    @property
    def is_searched(self) -> bool:
        """Whether scales are searched for what random tokens show, as weights stream by."""
        return self.quantizer == "search" and self.weight_format != "fp16"

    @property
    def rounded(self) -> Recipe:
        """The same encodings with codes rounded to nearest: nothing is searched or calibrated."""
        return replace(self, quantizer="rtn", calibration=BUILTIN)

    @property
    def flags(self) -> str:
        """The recipe as flags of the command line."""
        flags = [f"--weight-format {self.weight_format}"]
        if self.weight_format == "int4":
            flags += [f"--group-size {self.group_size}", f"--ratio {self.ratio:g}"]
        if self.weight_format != "fp16":
            flags.append("--sym" if self.sym else "--asym")
        if self.embedding != Recipe.embedding:
            flags.append(f"--embedding {self.embedding}")
        if self.all_layers:
            flags.append("--all-layers")
        if self.quantizer != Recipe.quantizer:
            flags.append(f"--quantizer {self.quantizer}")
        if self.is_calibrated:
            flags.append(f"--calibration {self.calibration}")
        if self.requantize:
            flags.append("--requantize")
        return " ".join(flags)

    @property
    def tag(self) -> str:
        """A short name, the same for two recipes that give the same weights."""
        if self.weight_format == "fp16":
            return "fp16"
        symmetry = "sym" if self.sym else "asym"
        quantizer = "" if self.quantizer == Recipe.quantizer else f"-{self.quantizer}"
        quantizer += "-anew" if self.requantize else ""
        if self.weight_format == "int8":
            return f"int8-{symmetry}{quantizer}"
        group = "row" if self.group_size == WHOLE_ROW else f"g{self.group_size}"
        mixed = "" if self.ratio == 1.0 else f"-r{self.ratio:g}"
        everywhere = "-all" if self.all_layers else "-emb4" if self.embedding == "int4" else ""
        return f"int4-{group}-{symmetry}{mixed}{everywhere}{quantizer}"


def recorded_recipe(table: Mapping[str, Any]) -> Recipe:
    """The recipe that a manifest or a result has.

    Earlier versions read text for ``search`` too, and kept "none" where none was read.

    Raises:
        UsageError: options that no version took together.
        TypeError: a field that no recipe has.
    """
    recipe = Recipe(**{**table, "calibration": BUILTIN})
    if recipe.is_calibrated:
        return replace(recipe, calibration=table.get("calibration", BUILTIN))
    return recipe


@dataclass(frozen=True)
class Encoding:
    """Bits per weight (4, 8 or 16) and, below 16, weights per scale and symmetry.

    ``carried``: codes and scales are the checkpoint's own.
    """

    bits: int
    group: int = 0
    sym: bool = True
    carried: bool = False


def assign(
    network: Layered,
    recipe: Recipe,
    groups: Sequence[int] = (),
    in_eight_bits: Collection[str] | None = None,
) -> dict[str, Encoding]:
    """The encoding of every matrix, by name; ``groups`` are the sizes allowed, empty for any.

    Embedding and head, which every token passes, keep 8 bits in an int4 recipe without
    ``all_layers`` or ``embedding`` (as in NNCF's and llama.cpp's defaults); so do the blocks'
    matrices named in ``in_eight_bits``, by default those of `outer_matrices`.  Routers keep 16
    bits: they are small, and an expert chosen wrongly is a large error (llama.cpp keeps them too).
    """
    if recipe.weight_format == "fp16":
        return {matrix.name: Encoding(16) for matrix in network.matrices()}
    encodings = {
        matrix.name: Encoding(8, matrix.columns, recipe.sym) for matrix in network.matrices()
    }
    exact = {matrix.name: Encoding(16) for matrix in network.exact}
    if recipe.weight_format == "int8":
        return encodings | exact
    kept = outer_matrices(network, recipe.ratio) if in_eight_bits is None else in_eight_bits
    in_blocks = (matrix for block in network.blocks for matrix in block.matrices)
    for matrix in network.matrices() if recipe.all_layers else in_blocks:
        # two codes a byte: a row has to end on a whole one
        if matrix.name not in kept and matrix.columns % 2 == 0:
            group = dividing_group(matrix.columns, recipe.group_size, groups)
            encodings[matrix.name] = Encoding(4, group, recipe.sym)
    if recipe.embedding == "int4":
        for matrix in network.lookups:
            group = dividing_group(matrix.columns, EMBEDDING_GROUP)
            encodings[matrix.name] = Encoding(4, group, recipe.sym)
    return encodings | exact


def dividing_group(width: int, group_size: int, groups: Sequence[int] = ()) -> int:
    """The largest allowed group, at most ``group_size``, that divides ``width``; else the width."""
    if group_size == WHOLE_ROW:
        return width
    allowed = groups or GROUP_SIZES
    fitting = [size for size in allowed if 0 < size <= group_size and width % size == 0]
    return max(fitting, default=width)


def outer_matrices(network: Layered, ratio: float) -> frozenset[str]:
    """The matrices that keep 8 bits where quantization errors were not measured.

    Whole blocks, those nearest to either end of the network first, until no more than the share
    ``ratio`` of the blocks' weights is left to 4 bits (the order of llama.cpp's mixed recipes).
    """
    count = len(network.blocks)
    outermost_first = sorted(range(count), key=lambda index: min(index, count - 1 - index))
    kept = outermost_first[: count - int(ratio * count + 1e-9)]
    return frozenset(matrix.name for index in kept for matrix in network.blocks[index].matrices)
