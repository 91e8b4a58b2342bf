"""How OpenVINO stores weights, and placeholders for them while a graph is built.

OpenVINO writes a graph's XML from constants.  Here the constants share one block of zeros that the
operating system never backs with memory, so that a graph of any size costs nothing; the weights
themselves are streamed to the file by `weights_file` and found by their names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.convert.layout import Array, ArrayType, Layout, MatrixTypes, StoredMatrix
from aipc.convert.parts import Matrix
from aipc.convert.quantizers.rtn import Quantized, pack_nibbles
from aipc.convert.recipe import Encoding

_NUMPY = {"f32": "f4", "f16": "f2", "i8": "i1", "u8": "u1", "i4": "u1", "u4": "u1"}


class OpenVINOPacking:
    """Codes [rows, groups, group] in OpenVINO's own element types, float16 scales.

    Of several experts there is an axis more in front.
    """

    vector = "f32"

    def types(self, matrix: Matrix, encoding: Encoding) -> MatrixTypes:
        rows, columns = _rows(matrix), matrix.columns
        if encoding.bits == 16:
            return MatrixTypes(ArrayType("f16", (*rows, columns)))
        groups = columns // encoding.group
        codes = (*rows, columns) if groups == 1 else (*rows, groups, encoding.group)
        scales = (*rows, 1) if groups == 1 else (*rows, groups, 1)
        sign = "i" if encoding.sym else "u"
        return MatrixTypes(
            ArrayType(f"{sign}{encoding.bits}", codes),
            ArrayType("f16", scales),
            None if encoding.sym else ArrayType(f"u{encoding.bits}", scales),
        )

    def codes(self, quantized: Quantized, encoding: Encoding) -> npt.NDArray[Any]:
        return pack_nibbles(quantized.codes) if encoding.bits == 4 else quantized.codes

    def scale(self, scale: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
        return scale

    def zero(self, zero: npt.NDArray[np.uint8], encoding: Encoding) -> npt.NDArray[np.uint8]:
        return pack_nibbles(zero) if encoding.bits == 4 else zero


def _rows(matrix: Matrix) -> tuple[int, ...]:
    if matrix.experts == 1:
        return (matrix.rows,)
    return matrix.experts, matrix.expert_rows


class PlaceholderWeights:
    """The float32 value of each stored matrix and vector, as outputs of a graph."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._zeros = np.zeros(max(array.nbytes for array in layout.arrays()), np.uint8)
        self._made: dict[str, Any] = {}

    def vector(self, name: str) -> Any:
        """An OpenVINO output, f32 [length]."""
        return self._constant(self._layout.vectors[name].array)

    def matrix(self, name: str) -> Any:
        """An OpenVINO output, f32 [rows, columns], decompressed where it is stored in fewer bits.

        Of several experts [experts, rows of each, columns].

        A name always has the same output, so that tied matrices share one constant.
        """
        if name not in self._made:
            self._made[name] = self._decompressed(self._layout.matrices[name])
        return self._made[name]

    def _decompressed(self, stored: StoredMatrix) -> Any:
        from openvino import opset15 as ops

        weight = self._constant(stored.weight)
        if stored.scale is not None:
            weight = ops.convert(weight, "f16")
            if stored.zero is not None:
                weight = ops.subtract(weight, ops.convert(self._constant(stored.zero), "f16"))
            weight = ops.multiply(weight, self._constant(stored.scale))
        whole = (*_rows(stored.matrix), stored.matrix.columns)
        if len(stored.weight.shape) > len(whole):
            shape = np.array(whole, np.int64)
            weight = ops.reshape(weight, shape, special_zero=False)
        return ops.convert(weight, "f32").output(0)

    def _constant(self, array: Array) -> Any:
        import openvino as ov

        kind = getattr(ov.Type, array.element)
        tensor = ov.Tensor(
            self._zeros[: array.nbytes].view(_NUMPY[array.element]), array.shape, kind
        )
        constant = ov.op.Constant(tensor, shared_memory=True)
        constant.set_friendly_name(array.name)
        return constant
