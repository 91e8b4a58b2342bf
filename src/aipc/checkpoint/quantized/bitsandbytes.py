"""bitsandbytes: NF4 and FP4 with their scales once or twice quantized, and LLM.int8().

Of 4 bits ``weight`` is uint8 [count / 2, 1] of the flattened matrix, the first of two weights in
the high bits; ``weight.absmax`` has the scale of each block, itself in 8 bits where there is
``weight.nested_absmax``; ``weight.quant_state.bitsandbytes__nf4`` is JSON (QuantState and
dequantize_4bit of bitsandbytes 0.50).  Of 8 bits ``weight`` is int8 [rows, columns], ``SCB`` the
greatest magnitude of each row; ``weight_format`` other than 0 is an order for some graphics cards
that older versions wrote and none reads any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from aipc.checkpoint.quantized.layer import Layer
from aipc.checkpoint.quantized.matrix import IntegerMatrix, PackedMatrix
from aipc.checkpoint.quantized.packing import Codes, look_up
from aipc.checkpoint.quantized.settings import QuantizationSettings
from aipc.checkpoint.tensors import Floats, Grid, StoredTensors
from aipc.records import parse_object

_STATE = ".quant_state.bitsandbytes__"
_NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
_FP4 = (0.0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0)
VALUES = {
    "nf4": np.array(_NF4, np.float32),
    "fp4": np.array([*_FP4, *(-value for value in _FP4)], np.float32) / np.float32(12),
}
"""The number that each code means (QLoRA, arXiv 2305.14314, appendix E; get_4bit_type)."""
_PARTS = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
_BLOCKS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
_INVERSE = np.float32(7.874015718698502e-3)  # 1 / 127 as bitsandbytes spells it


def find_bitsandbytes(
    file: StoredTensors, settings: QuantizationSettings
) -> Iterator[tuple[str, PackedMatrix]]:
    """As `find_gptq`."""
    for tensor in file.tensors:
        name, _, kind = tensor.partition(_STATE)
        if kind:
            yield name, FourBitCodes(Layer(file, settings, name.removesuffix(".weight")), kind)
        elif tensor.endswith(".SCB"):
            layer = Layer(file, settings, tensor.removesuffix(".SCB"))
            yield f"{layer.name}.weight", EightBitRows(layer)


class FourBitCodes(PackedMatrix):
    """NF4 or FP4, which are no grid."""

    def __init__(self, layer: Layer, kind: str) -> None:
        if kind not in VALUES:
            raise layer.settings.unsupported(f"the type {kind}")
        state_part = f"weight{_STATE}{kind}"
        state = _read_state(layer, state_part)
        shape = _shape(layer, state)
        self._values, self._block = VALUES[kind], _block_size(layer, state, "blocksize")
        self._is_nested = layer.has("weight.nested_absmax")
        blocks = -(-shape[0] * shape[1] // self._block)
        _check_scales(layer, blocks, self._is_nested, self._values)
        if self._is_nested:
            self._outer = _block_size(layer, state, "nested_blocksize")
            layer.check("weight.nested_absmax", ("F32",), (-(-blocks // self._outer),))
            self._offset = _offset(layer, state.get("nested_offset"))
        parts = (f"weight.{part}" for part in _PARTS)
        super().__init__(layer, f"bitsandbytes {kind}", shape, "weight", *parts, state_part)

    def rows(self, start: int, stop: int) -> Floats:
        columns = self.shape[1]
        first, last = start * columns, stop * columns
        packed = self.layer.stored("weight").reshape(-1).view(np.uint8)[first // 2 : last // 2]
        weights = look_up(packed, self._values, first_is_low=False)
        low, high = first // self._block, -(-last // self._block)
        scale = np.repeat(self._absmax(low, high), self._block)
        weights *= scale[first - low * self._block : last - low * self._block]
        return weights.reshape(stop - start, columns)

    def _absmax(self, start: int, stop: int) -> Floats:
        """The scales of blocks [start, stop)."""
        if not self._is_nested:
            return self.layer.floats("weight.absmax", slice(start, stop))
        codes = self.layer.stored("weight.absmax", start, stop)
        outer = self.layer.floats("weight.nested_absmax")[np.arange(start, stop) // self._outer]
        scales: Floats = self.layer.floats("weight.nested_quant_map")[codes] * outer + self._offset
        return scales


def _read_state(layer: Layer, part: str) -> dict[str, Any]:
    layer.check(part, ("U8",))
    return parse_object(layer.settings.path, layer.stored(part).tobytes())


def _shape(layer: Layer, state: dict[str, Any]) -> tuple[int, int]:
    shape = state.get("shape")
    sizes = shape if isinstance(shape, list) and len(shape) == 2 else [0, 0]
    if not all(type(size) is int and size > 0 for size in sizes):
        raise layer.contradicted(f"its shape is {shape}")
    rows, columns = sizes
    if columns % 2 or layer.info("weight").nbytes * 2 != rows * columns:
        raise layer.contradicted(f"weight does not hold {rows} x {columns} codes")
    return rows, columns


def _block_size(layer: Layer, state: dict[str, Any], key: str) -> int:
    value = state.get(key)
    if value not in _BLOCKS:
        raise layer.contradicted(f"its {key} is {value}")
    return int(value)


def _offset(layer: Layer, value: object) -> np.float32:
    if not isinstance(value, float) or not np.isfinite(value):
        raise layer.contradicted(f"its nested_offset is {value}")
    return np.float32(value)


def _check_scales(layer: Layer, blocks: int, is_nested: bool, values: Floats) -> None:
    layer.check("weight.absmax", ("U8",) if is_nested else ("F32",), (blocks,))
    layer.check("weight.quant_map", ("F32",), (16,))
    if not np.allclose(layer.floats("weight.quant_map"), values, atol=1e-6):
        raise layer.contradicted("quant_map is not that of its type")
    if is_nested:
        layer.check("weight.nested_quant_map", ("F32",), (256,))


class EightBitRows(IntegerMatrix):
    """LLM.int8(): a weight is its code times the greatest magnitude of its row over 127."""

    bits = 8

    def __init__(self, layer: Layer) -> None:
        shape = layer.matrix("weight", ("I8",))
        layer.check("SCB", ("F32",), (shape[0],))
        if layer.has("weight_format") and layer.stored("weight_format").any():
            raise layer.settings.unsupported("tiles in place of rows (weight_format)")
        self.group = shape[1]
        super().__init__(layer, "bitsandbytes int8", shape, "weight", "SCB", "weight_format")

    def rows(self, start: int, stop: int) -> Floats:
        weights: Floats = self.layer.stored("weight", start, stop).astype(np.float32)
        weights *= self.layer.floats("SCB", slice(start, stop))[:, None]
        weights *= _INVERSE
        return weights

    def unsigned_codes(self, start: int, stop: int) -> Codes:
        return self.layer.stored("weight", start, stop).view(np.uint8) ^ np.uint8(128)

    def scale(self, start: int, stop: int) -> Floats:
        return self.layer.floats("SCB", slice(start, stop))[:, None] * _INVERSE

    def grid(self) -> Grid | None:
        found = super().grid()
        # its codes reach from -127 to 127
        return found and Grid(found.bits, found.group, True, found.exact)
