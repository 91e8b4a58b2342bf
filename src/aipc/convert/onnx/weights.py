"""How ONNX Runtime stores weights, and the initializers that refer to them.

Initializers are external: a graph holds their shapes and offsets in the weights file, never their
content.  The rows of a matrix are contiguous, so that a product with some of them (query, key and
value of one stacked matrix) is an initializer that points into the middle of the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.convert.layout import Array, ArrayType, Layout, MatrixTypes, StoredMatrix
from aipc.convert.network import Matrix, Network
from aipc.convert.quantizers.rtn import Quantized, pack_nibbles
from aipc.convert.recipe import GROUP_SIZES, Encoding, dividing_group

EIGHT_BIT_BLOCK = 32
"""On the CPU activations are rounded to 8 bits in the same blocks: next tokens of the small model
agree with float's at 95.1% of 2,048 positions with 32, in 93.7% with 128, which decodes in three
quarters of the time (the exact product, without an accuracy level, takes fifty times as long)."""
DATA_TYPES = {"f32": "FLOAT", "f16": "FLOAT16", "u8": "UINT8"}


def blocked(network: Network, encodings: Mapping[str, Encoding]) -> dict[str, Encoding]:
    """The nearest encodings that MatMulNBits supports: blocks of 16 weights or a power of two more.

    A whole row of 8 bits becomes blocks of at most EIGHT_BIT_BLOCK; where none divides a
    matrix's width, it keeps 16 bits.
    """
    found = dict(encodings)
    for matrix in network.matrices():
        encoding = encodings[matrix.name]
        if encoding.bits < 16:
            limit = EIGHT_BIT_BLOCK if encoding.bits == 8 else encoding.group
            group = dividing_group(matrix.columns, limit)
            fits = group in GROUP_SIZES
            found[matrix.name] = replace(encoding, group=group) if fits else Encoding(16)
    return found


class ONNXPacking:
    """MatMulNBits' layout: unsigned codes [rows, blocks, bytes of one], zero points packed by row.

    ``element`` is the provider's, the type of scales, norms and tables.
    """

    def __init__(self, element: str) -> None:
        self.vector = element

    def types(self, matrix: Matrix, encoding: Encoding) -> MatrixTypes:
        if encoding.bits == 16:
            return MatrixTypes(ArrayType("f16", (matrix.rows, matrix.columns)))
        blocks = matrix.columns // encoding.group
        zeros = (blocks * encoding.bits + 7) // 8
        return MatrixTypes(
            ArrayType("u8", (matrix.rows, blocks, encoding.group * encoding.bits // 8)),
            ArrayType(self.vector, (matrix.rows, blocks)),
            None if encoding.sym else ArrayType("u8", (matrix.rows, zeros)),
        )

    def codes(self, quantized: Quantized, encoding: Encoding) -> npt.NDArray[np.uint8]:
        """Symmetric codes are shifted to MatMulNBits' default zero point, 8 or 128."""
        if encoding.bits == 4:
            packed = pack_nibbles(quantized.codes)
            return packed ^ np.uint8(0x88) if encoding.sym else packed
        codes = quantized.codes.view(np.uint8)
        return codes ^ np.uint8(0x80) if encoding.sym else codes

    def scale(self, scale: npt.NDArray[np.float16]) -> npt.NDArray[Any]:
        return scale.astype(np.float32) if self.vector == "f32" else scale

    def zero(self, zero: npt.NDArray[np.uint8], encoding: Encoding) -> npt.NDArray[np.uint8]:
        if encoding.bits == 8:
            return zero
        return pack_nibbles(np.pad(zero, ((0, 0), (0, zero.shape[1] % 2))))


class ExternalWeights:
    """Initializers that point into the weights file ``location``, each made at first use."""

    def __init__(self, layout: Layout, location: str) -> None:
        self._layout = layout
        self._location = location
        self._made: dict[str, Any] = {}

    @property
    def initializers(self) -> list[Any]:
        return list(self._made.values())

    def stored(self, matrix: Matrix) -> StoredMatrix:
        return self._layout.matrices[matrix.name]

    def vector(self, name: str, rows: range | None = None) -> str:
        return self.array(self._layout.vectors[name].array, rows)

    def table(self, name: str) -> str:
        return self.array(self._layout.tables[name].array)

    def array(self, array: Array, rows: range | None = None) -> str:
        """The initializer of ``rows`` of an array, by default all."""
        every = range(array.shape[0])
        rows = rows or every
        name = array.name if rows == every else f"{array.name}.{rows.start}"
        row = array.nbytes // len(every)
        shape = (len(rows), *array.shape[1:])
        return self._point(name, array, shape, array.offset + rows.start * row)

    def flat(self, array: Array) -> str:
        """The same bytes [rows, bytes of a row], as GatherBlockQuantized takes them."""
        shape = (array.shape[0], array.nbytes // array.shape[0])
        return self._point(f"{array.name}.flat", array, shape, array.offset)

    def _point(self, name: str, array: Array, shape: tuple[int, ...], offset: int) -> str:
        from onnx import TensorProto

        if name in self._made:
            return name
        tensor = TensorProto(name=name, dims=shape)
        tensor.data_type = getattr(TensorProto, DATA_TYPES[array.element])
        tensor.data_location = TensorProto.EXTERNAL
        length = array.nbytes // array.shape[0] * shape[0]
        for key, value in (("location", self._location), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self._made[name] = tensor
        return name
