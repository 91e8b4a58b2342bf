"""How each matrix is stored: in how many bits, and over what groups."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aipc.convert.network import Network
from aipc.convert.recipe import GROUP_SIZES, WHOLE_ROW, Recipe


@dataclass(frozen=True)
class Encoding:
    """Bits per weight (4, 8 or 16) and, below 16, weights per scale and symmetry."""

    bits: int
    group: int = 0
    sym: bool = True


def assign(
    network: Network,
    recipe: Recipe,
    groups: Sequence[int] = (),
    in_eight_bits: Collection[str] | None = None,
) -> dict[str, Encoding]:
    """The encoding of every matrix, by name; ``groups`` are the sizes allowed, empty for any.

    Embedding and head, which every token passes, keep 8 bits in an int4 recipe without
    ``all_layers`` (as in NNCF's and llama.cpp's defaults); so do the blocks' matrices named in
    ``in_eight_bits``, by default those of `outer_matrices`.
    """
    if recipe.weight_format == "fp16":
        return {matrix.name: Encoding(16) for matrix in network.matrices()}
    encodings = {
        matrix.name: Encoding(8, matrix.columns, recipe.sym) for matrix in network.matrices()
    }
    if recipe.weight_format == "int8":
        return encodings
    kept = outer_matrices(network, recipe.ratio) if in_eight_bits is None else in_eight_bits
    in_blocks = (matrix for block in network.blocks for matrix in block.matrices)
    for matrix in network.matrices() if recipe.all_layers else in_blocks:
        # two codes a byte: a row has to end on a whole one
        if matrix.name not in kept and matrix.columns % 2 == 0:
            group = dividing_group(matrix.columns, recipe.group_size, groups)
            encodings[matrix.name] = Encoding(4, group, recipe.sym)
    return encodings


def dividing_group(width: int, group_size: int, groups: Sequence[int] = ()) -> int:
    """The largest allowed group, at most ``group_size``, that divides ``width``; else the width."""
    if group_size == WHOLE_ROW:
        return width
    allowed = groups or GROUP_SIZES
    fitting = [size for size in allowed if 0 < size <= group_size and width % size == 0]
    return max(fitting, default=width)


def outer_matrices(network: Network, ratio: float) -> frozenset[str]:
    """The matrices that keep 8 bits where quantization errors were not measured.

    Whole blocks, those nearest to either end of the network first, until no more than the share
    ``ratio`` of the blocks' weights is left to 4 bits (the order of llama.cpp's mixed recipes).
    """
    count = len(network.blocks)
    outermost_first = sorted(range(count), key=lambda index: min(index, count - 1 - index))
    kept = outermost_first[: count - int(ratio * count + 1e-9)]
    return frozenset(matrix.name for index in kept for matrix in network.blocks[index].matrices)
