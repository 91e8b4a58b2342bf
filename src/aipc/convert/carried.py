"""Codes that a checkpoint was quantized to elsewhere, kept where the artifact has their grid.

Rounding them a second time would lose something again: a 4-bit grid with other scales holds none
of the weights that were on the first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from aipc.checkpoint import Checkpoint
from aipc.checkpoint.tensors import FLOATS, Grid, GridCodes
from aipc.convert.network import Network
from aipc.convert.parts import Matrix
from aipc.convert.quantizers.rtn import Quantized, float16_scale
from aipc.convert.recipe import GROUP_SIZES, WHOLE_ROW, Encoding
from aipc.convert.targets import Target
from aipc.errors import ConversionError, quoted

Grids = Mapping[str, Grid]
"""By the name of a matrix; of a stacked one what its tensors have in common."""


def read_grids(checkpoint: Checkpoint, network: Network) -> Grids:
    """The grids that matrices are stored on; reads their scales and zero points.

    Raises:
        CheckpointError: scales that are no numbers.
    """
    found = {matrix.name: _common(checkpoint, matrix) for matrix in network.matrices()}
    return {name: grid for name, grid in found.items() if grid is not None}


def _common(checkpoint: Checkpoint, matrix: Matrix) -> Grid | None:
    grids: list[Grid] = []
    for tensor in matrix.tensors:
        grid = checkpoint.grid(tensor)
        if grid is None or (grids and grid.bits != grids[0].bits):
            return None
        grids.append(grid)
    return Grid(
        grids[0].bits,
        math.gcd(*(grid.group for grid in grids)),
        all(grid.sym for grid in grids),
        all(grid.exact for grid in grids),
    )


def carry(
    network: Network, grids: Grids, encodings: Mapping[str, Encoding], target: Target
) -> dict[str, Encoding]:
    """The encodings, by name, of matrices that keep the codes they have.

    A matrix keeps them where its grid has no more bits than ``encodings`` give it, and the target
    runs the grid.
    """
    found = {}
    for matrix in network.matrices():
        grid, given = grids.get(matrix.name), encodings[matrix.name]
        if grid is not None and grid.bits <= given.bits < 16:
            group = _group(grid, matrix.columns, target)
            if group and (not target.sym or grid.sym in target.sym):
                found[matrix.name] = Encoding(grid.bits, group, grid.sym, carried=True)
    return found


def _group(grid: Grid, columns: int, target: Target) -> int:
    """The largest group of the target's that divides the grid's, as scales can be repeated."""
    allowed = target.groups or (*GROUP_SIZES, WHOLE_ROW)
    if columns % 2:
        return 0
    if WHOLE_ROW in allowed and grid.group == columns:
        return columns
    if grid.bits == 8 and target.groups and WHOLE_ROW in target.groups:
        return 0  # groups of an NPU are those of 4 bits
    return max((size for size in allowed if size > 0 and grid.group % size == 0), default=0)


def quantized(found: GridCodes, encoding: Encoding, tensor: str) -> Quantized:
    """A checkpoint's own codes as an artifact has them.

    Raises:
        ConversionError: a code that its format leaves out.
    """
    middle = 1 << (encoding.bits - 1)
    times = found.codes.shape[1] // encoding.group // found.scale.shape[1]
    scale = np.repeat(float16_scale(found.scale), times, axis=1)
    if encoding.sym:
        if encoding.bits == 8 and not found.codes.all():
            raise ConversionError(
                f"{quoted(tensor)} holds the code -128, which its format leaves out",
                "convert it with --requantize",
            )
        return Quantized((found.codes - np.uint8(middle)).view(np.int8), scale, None)
    zero = np.full_like(found.scale, middle, np.uint8) if found.zero is None else found.zero
    return Quantized(found.codes, scale, np.repeat(zero, times, axis=1))


def describe(
    checkpoint: Checkpoint, network: Network, grids: Grids, encodings: Mapping[str, Encoding]
) -> Iterator[str]:
    """What of the checkpoint's codes was kept, and what is rounded a second time."""
    total = sum(1 for _ in network.matrices())
    kept: Counter[str] = Counter()
    again: Counter[str] = Counter()
    for matrix in network.matrices():
        encoding = encodings[matrix.name]
        if encoding.carried:
            kept[_in_words(grids[matrix.name], matrix)] += 1
        elif encoding.bits < 16:
            kinds = {checkpoint.tensors[tensor].dtype for tensor in matrix.tensors} - FLOATS
            again.update(sorted(kinds)[:1])
    for grid, count in kept.items():
        yield f"{count} of {total} matrices carried over from the checkpoint's own {grid}"
    if again:
        yield (
            f"{again.total()} of {total} matrices rounded a second time: the checkpoint holds "
            + ", ".join(kind for kind, _ in again.most_common())
        )


def _in_words(grid: Grid, matrix: Matrix) -> str:
    part = "rows" if grid.group == matrix.columns else f"blocks of {grid.group}"
    return f"int{grid.bits} {part}, {'as they are' if grid.exact else 'scales in float16'}"
