"""Where every array lies in the weights file: known before a single weight is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aipc.convert.encoding import Encoding
from aipc.convert.network import Matrix, Network, Vector
from aipc.convert.quantizers.rtn import Quantized
from aipc.convert.rope import RopeTable


@dataclass(frozen=True)
class ArrayType:
    """An array's element type ("f32", "f16", "i8", "u8", "i4" or "u4") and shape."""

    element: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class MatrixTypes:
    """Those of a matrix's codes (or float16 weights) and, where quantized, what scales them."""

    weight: ArrayType
    scale: ArrayType | None = None
    zero: ArrayType | None = None


class Packing(Protocol):
    """One format's; ``vector`` is the element type of norms, biases and tables."""

    @property
    def vector(self) -> str: ...

    def forms(self, matrix: Matrix, encoding: Encoding) -> MatrixTypes: ...

    def codes(self, quantized: Quantized, encoding: Encoding) -> npt.NDArray[Any]:
        """Those of some whole rows, as the file holds them."""

    def scale(self, scale: npt.NDArray[np.float16]) -> npt.NDArray[Any]:
        """Those of a whole matrix, [rows, groups], as the file holds them."""

    def zero(self, zero: npt.NDArray[np.uint8], encoding: Encoding) -> npt.NDArray[Any]:
        """Zero points of a whole matrix, [rows, groups], as the file holds them."""


ALIGNMENT = 64  # a cache line, so that a mapped array can be used where it lies


@dataclass(frozen=True)
class Array:
    """One constant: its element type ("f32", "u4" …), its shape and place in bytes."""

    name: str
    element: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


@dataclass(frozen=True)
class StoredMatrix:
    """A matrix's codes (or float16 weights) and, where quantized, scale and zero point."""

    matrix: Matrix
    encoding: Encoding
    weight: Array
    scale: Array | None = None
    zero: Array | None = None


@dataclass(frozen=True)
class StoredVector:
    vector: Vector
    array: Array


@dataclass(frozen=True)
class StoredTable:
    table: RopeTable
    array: Array


@dataclass(frozen=True)
class Layout:
    """What lies in one weights file, in the order matrices, vectors, tables."""

    packing: Packing
    matrices: Mapping[str, StoredMatrix]
    vectors: Mapping[str, StoredVector]
    nbytes: int
    tables: Mapping[str, StoredTable] = field(default_factory=dict)

    def arrays(self) -> list[Array]:
        """Every array, in the order of the file."""
        found = [stored.array for stored in self.vectors.values()]
        found += [stored.array for stored in self.tables.values()]
        for stored in self.matrices.values():
            found += [a for a in (stored.weight, stored.scale, stored.zero) if a is not None]
        return sorted(found, key=lambda array: array.offset)


BITS = {"f32": 32, "f16": 16, "i8": 8, "u8": 8, "i4": 4, "u4": 4}


class _Placer:
    def __init__(self) -> None:
        self.end = 0

    def place(self, name: str, form: ArrayType) -> Array:
        nbytes = (math.prod(form.shape) * BITS[form.element] + 7) // 8
        array = Array(name, form.element, form.shape, self.end, nbytes)
        self.end += -(-nbytes // ALIGNMENT) * ALIGNMENT
        return array


def lay_out(
    network: Network,
    encodings: Mapping[str, Encoding],
    packing: Packing,
    tables: Sequence[RopeTable] = (),
) -> Layout:
    """Place matrices in the network's order, then the vectors, then ``tables``."""
    placer = _Placer()
    matrices = {
        matrix.name: _place_matrix(placer, matrix, encodings[matrix.name], packing)
        for matrix in network.matrices()
    }
    vectors = {
        vector.name: StoredVector(
            vector, placer.place(vector.name, ArrayType(packing.vector, (vector.length,)))
        )
        for vector in network.vectors()
    }
    stored = {
        table.name: StoredTable(
            table, placer.place(table.name, ArrayType(packing.vector, (table.rows, table.columns)))
        )
        for table in tables
    }
    return Layout(packing, matrices, vectors, placer.end, stored)


def _place_matrix(
    placer: _Placer, matrix: Matrix, encoding: Encoding, packing: Packing
) -> StoredMatrix:
    forms = packing.forms(matrix, encoding)
    return StoredMatrix(
        matrix,
        encoding,
        placer.place(matrix.name, forms.weight),
        None if forms.scale is None else placer.place(f"{matrix.name}.scale", forms.scale),
        None if forms.zero is None else placer.place(f"{matrix.name}.zero", forms.zero),
    )
