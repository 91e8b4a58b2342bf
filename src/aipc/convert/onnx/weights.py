"""How ONNX Runtime stores weights, and the initializers that refer to them.

Initializers are external: a graph holds their shapes and offsets in the weights file, never their
content.  The rows of a matrix are contiguous, so that a product with some of them (query, key and
value of one stacked matrix) is an initializer that points into the middle of the matrix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.convert.layout import Array, ArrayType, Layout, MatrixTypes, StoredMatrix
from aipc.convert.network import Network
from aipc.convert.parts import Matrix
from aipc.convert.quantizers.rtn import Quantized, pack_nibbles
from aipc.convert.recipe import GROUP_SIZES, Encoding, dividing_group
from aipc.convert.targets import SMALL_PARAMETERS

EIGHT_BIT_BLOCK = 32
"""On the CPU activations are rounded to 8 bits in the same blocks: next tokens of the small model
agree with float's at 95.1% of 2,048 positions with 32, in 93.7% with 128, which decodes in three
quarters of the time (the exact product, without an accuracy level, takes fifty times as long)."""
SMALL_BLOCK = 16
"""The same of a small network on the CPU, whose answers stand on near-ties (docs/quality.md)."""
DATA_TYPES = {"f32": "FLOAT", "f16": "FLOAT16", "u8": "UINT8"}


def blocked(
    network: Network, encodings: Mapping[str, Encoding], *, rounds_activations: bool
) -> dict[str, Encoding]:
    """The nearest encodings that MatMulNBits supports: blocks of 16 weights or a power of two more.

    A whole row of 8 bits becomes blocks of at most EIGHT_BIT_BLOCK; where none divides a
    matrix's width, it keeps 16 bits.  Both matrices of a block's experts have the same bits and
    blocks: those of the one with more bits.  Where the product ``rounds_activations``, a small
    network has blocks of SMALL_BLOCK, and `exact_matrices` keep 16 bits.
    """
    is_careful = rounds_activations and network.parameters < SMALL_PARAMETERS
    exact = exact_matrices(network) if is_careful else frozenset()
    sizes = (SMALL_BLOCK, *GROUP_SIZES) if is_careful else GROUP_SIZES
    eight_bit_block = SMALL_BLOCK if is_careful else EIGHT_BIT_BLOCK
    found = dict(encodings)
    for matrices in _alike(network):
        given = {one.name: encodings[one.name] for one in matrices}
        bits = max(one.bits for one in given.values())
        if bits == 16:
            found |= dict.fromkeys(given, Encoding(16))
            continue
        limit = min(one.group for one in given.values() if one.bits == bits)
        width = math.gcd(*(one.columns for one in matrices))
        group = dividing_group(width, eight_bit_block if bits == 8 else limit, sizes)
        fits = group in sizes and not (bits == 8 and exact.intersection(given))
        for name, one in given.items():
            kept = one.carried and one.bits == bits
            fitted = replace(one, bits=bits, group=group, carried=kept)
            found[name] = fitted if fits else Encoding(16)
    return found


def _alike(network: Network) -> Iterator[tuple[Matrix, ...]]:
    """Every matrix, those together that need the same bits and blocks: QMoE has them but once."""
    of_experts = [(*one.gate_up, one.down) for one in network.mixtures]
    others = set(network.matrices()).difference(*of_experts)
    yield from of_experts
    yield from ((one,) for one in network.matrices() if one in others)


def exact_matrices(network: Network) -> frozenset[str]:
    """Those of query, key and value, which lose most where activations are rounded."""
    return frozenset(one.query_key_value.name for one in network.attentions)


class ONNXPacking:
    """MatMulNBits' layout: unsigned codes [rows, blocks, bytes of one], zero points packed by row.

    ``element`` is the provider's, the type of scales, norms and tables; ``whole`` that of matrices
    which are not quantized.
    """

    def __init__(self, element: str, whole: str = "f16") -> None:
        self.vector = element
        self._whole = whole

    def types(self, matrix: Matrix, encoding: Encoding) -> MatrixTypes:
        if encoding.bits == 16:
            return MatrixTypes(ArrayType(self._whole, (matrix.rows, matrix.columns)))
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
        shape, start = (len(rows), *array.shape[1:]), array.offset + rows.start * row
        return self._point(name, array, shape, start, len(rows) * row)

    def flat(self, array: Array) -> str:
        """The same bytes [rows, bytes of a row], as GatherBlockQuantized takes them."""
        return self._reshaped(array, "flat", array.shape[0])

    def by_expert(self, array: Array, experts: int) -> str:
        """The same [experts, rows of one, what a row has], as MoE and QMoE take a matrix."""
        return self._reshaped(array, "experts", experts, array.shape[0] // experts)

    def _reshaped(self, array: Array, end: str, *shape: int) -> str:
        """The whole array in one dimension more than ``shape``, as long as it takes."""
        shape = (*shape, math.prod(array.shape) // math.prod(shape))
        return self._point(f"{array.name}.{end}", array, shape, array.offset, array.nbytes)

    def _point(
        self, name: str, array: Array, shape: tuple[int, ...], offset: int, length: int
    ) -> str:
        from onnx import TensorProto

        if name in self._made:
            return name
        tensor = TensorProto(name=name, dims=shape)
        tensor.data_type = getattr(TensorProto, DATA_TYPES[array.element])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._location), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self._made[name] = tensor
        return name
