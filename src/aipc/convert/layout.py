"""Type, shape and offset of every array in the weights file, before a weight is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aipc.convert.network import Layered
from aipc.convert.parts import Matrix, Vector
from aipc.convert.quantizers.rtn import Quantized
from aipc.convert.recipe import Encoding
from aipc.convert.rope import RopeTable

ALIGNMENT = 64  # a cache line, so that a mapped array can be used in place
BITS = {"f32": 32, "f16": 16, "i8": 8, "u8": 8, "i4": 4, "u4": 4}


@dataclass(frozen=True)
class ArrayType:
    """An array's element type, one of `BITS`, and shape."""

    element: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class MatrixTypes:
    """Of a matrix's codes (or float16 weights) and, where quantized, of scale and zero point."""

    weight: ArrayType
    scale: ArrayType | None = None
    zero: ArrayType | None = None


class Packing(Protocol):
    """How one format stores a matrix; ``vector`` is the element type of norms, biases, tables."""

    @property
    def vector(self) -> str: ...

    def types(self, matrix: Matrix, encoding: Encoding) -> MatrixTypes: ...

    def codes(self, quantized: Quantized, encoding: Encoding) -> npt.NDArray[Any]:
        """The codes of some whole rows as stored."""

    def scale(self, scale: npt.NDArray[np.float16]) -> npt.NDArray[Any]:
        """The scales [rows, groups] of a whole matrix as stored."""

    def zero(self, zero: npt.NDArray[np.uint8], encoding: Encoding) -> npt.NDArray[Any]:
        """The zero points [rows, groups] of a whole matrix as stored."""


@dataclass(frozen=True)
class Array:
    """One constant: its element type ("f32", "u4" …), its shape, its offset and size in bytes."""

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
    """The arrays of one weights file, in the order matrices, vectors, tables."""

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


class _Allocator:
    def __init__(self) -> None:
        self.end = 0

    def allocate(self, name: str, kind: ArrayType) -> Array:
        nbytes = (math.prod(kind.shape) * BITS[kind.element] + 7) // 8
        array = Array(name, kind.element, kind.shape, self.end, nbytes)
        self.end += -(-nbytes // ALIGNMENT) * ALIGNMENT
        return array

    def matrix(self, matrix: Matrix, encoding: Encoding, types: MatrixTypes) -> StoredMatrix:
        name, scale, zero = matrix.name, types.scale, types.zero
        return StoredMatrix(
            matrix,
            encoding,
            self.allocate(name, types.weight),
            None if scale is None else self.allocate(f"{name}.scale", scale),
            None if zero is None else self.allocate(f"{name}.zero", zero),
        )


def lay_out(
    network: Layered,
    encodings: Mapping[str, Encoding],
    packing: Packing,
    tables: Sequence[RopeTable] = (),
) -> Layout:
    """Matrices in the network's order, then the vectors, then ``tables``."""
    file = _Allocator()
    matrices = {}
    for matrix in network.matrices():
        encoding = encodings[matrix.name]
        types = packing.types(matrix, encoding)
        matrices[matrix.name] = file.matrix(matrix, encoding, types)
    vectors = {}
    for vector in network.vectors():
        array = file.allocate(vector.name, ArrayType(packing.vector, vector.shape))
        vectors[vector.name] = StoredVector(vector, array)
    stored = {}
    for table in tables:
        shape = table.rows, table.columns
        array = file.allocate(table.name, ArrayType(packing.vector, shape))
        stored[table.name] = StoredTable(table, array)
    return Layout(packing, matrices, vectors, file.end, stored)
