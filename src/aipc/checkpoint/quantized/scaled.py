"""Small floats with scales: 8 bits in blocks, 4 bits in groups of a row."""

from __future__ import annotations

import numpy as np

from aipc.checkpoint.quantized.layer import SCALES, Layer
from aipc.checkpoint.quantized.matrix import PackedMatrix
from aipc.checkpoint.quantized.packing import look_up
from aipc.checkpoint.tensors import Floats, byte_values

WEIGHTS = ("F8_E4M3", "F8_E5M2")
FOUR_BIT_VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
"""E2M1 by its lower three bits (OCP Microscaling Formats 1.0); the fourth is the sign."""
_SIGNED = np.concatenate([FOUR_BIT_VALUES, -FOUR_BIT_VALUES])


class ScaledMatrix(PackedMatrix):
    """8-bit floats ``weight`` [rows, columns] times a scale for each block.

    So are DeepSeek's and compressed-tensors' FP8.  ``block`` is [rows, columns]; blocks at the ends
    may be cut off.
    """

    def __init__(self, layer: Layer, scale: str, block: tuple[int, int] | None) -> None:
        """Without a ``block`` the scale has one value for all or one a row."""
        shape = layer.matrix("weight", WEIGHTS)
        rows, columns = shape
        if block is None:
            count = int(np.prod(layer.check(scale, SCALES).shape))
            block = (1, columns) if count == rows > 1 else shape
            layer.check(scale, SCALES, (), (count,), (count, 1))
        self._grid_shape = -(-rows // block[0]), -(-columns // block[1])
        if int(np.prod(layer.check(scale, SCALES).shape)) != np.prod(self._grid_shape):
            layer.check(scale, SCALES, self._grid_shape)
        self._scale, self._block = scale, block
        super().__init__(layer, layer.info("weight").dtype, shape, "weight", scale)

    def rows(self, start: int, stop: int) -> Floats:
        weights = self.layer.floats("weight", slice(start, stop))
        height, width = self._block
        blocks = np.arange(start, stop) // height
        scale = self.layer.floats(self._scale).reshape(self._grid_shape)[blocks]
        weights *= np.repeat(scale, width, axis=1)[:, : self.shape[1]] if width > 1 else scale
        return weights


class FourBitFloats(PackedMatrix):
    """4-bit floats, two a byte, times a scale for each ``group`` of a row.

    ``scales`` [rows, groups] are powers of two in bytes (MXFP4) or 8-bit floats that are
    divided by one ``overall`` scale (NVFP4).
    """

    def __init__(
        self, layer: Layer, packed: str, scales: str, group: int, overall: str = ""
    ) -> None:
        stored = layer.check(packed, ("U8",)).shape
        rows = stored[0] if stored else 0
        columns = 2 * int(np.prod(stored[1:])) if len(stored) in (2, 3) else 0
        if not rows or not columns or columns % group:
            raise layer.contradicted(f"{packed} is {list(stored)} in groups of {group}")
        kinds = ("F8_E4M3",) if overall else ("U8", "F8_E8M0")
        layer.check(scales, kinds, (rows, columns // group))
        self._packed, self._scales, self._overall, self._group = packed, scales, overall, group
        kind = "NVFP4" if overall else "MXFP4"
        super().__init__(layer, kind, (rows, columns), packed, scales, *filter(None, [overall]))

    def rows(self, start: int, stop: int) -> Floats:
        packed = self.layer.stored(self._packed, start, stop)
        weights = look_up(packed, _SIGNED, True).reshape(stop - start, -1, self._group)
        weights *= self._group_scales(start, stop)[..., None]
        return weights.reshape(stop - start, -1)

    def _group_scales(self, start: int, stop: int) -> Floats:
        if self._overall:
            overall = self.layer.floats(self._overall).reshape(-1)
            if overall.size != 1 or overall[0] == 0:
                raise self.layer.contradicted(f"{self._overall} is no number other than 0")
            scales = self.layer.floats(self._scales, slice(start, stop))
            scales /= overall[0]
            return scales
        powers: Floats = byte_values("F8_E8M0")[self.layer.stored(self._scales, start, stop)]
        if np.isnan(powers).any():
            raise self.layer.contradicted(f"{self._scales} holds values that are no numbers")
        return powers
