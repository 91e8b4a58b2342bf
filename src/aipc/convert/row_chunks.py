"""Rows of a matrix read and encoded, some at a time: few enough to fit a processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.checkpoint import Weights
from aipc.convert.carried import quantized as carried
from aipc.convert.layout import Packing
from aipc.convert.parts import Matrix
from aipc.convert.quantizers.activations import in_turn
from aipc.convert.quantizers.rtn import (
    Floats,
    Quantized,
    asymmetric,
    dequantize,
    naming,
    symmetric,
)
from aipc.convert.quantizers.search import searched
from aipc.convert.recipe import Encoding

CHUNK_WEIGHTS = 2**19  # measured: chunks that fit the second-level cache quantize fastest


@dataclass(frozen=True)
class RowChunk:
    """Rows [start, stop) of one checkpoint tensor, or of two whose rows alternate."""

    tensors: tuple[str, ...]
    start: int
    stop: int

    def weights(self, columns: int) -> int:
        return len(self.tensors) * (self.stop - self.start) * columns


def chunks(checkpoint: Weights, matrix: Matrix) -> Iterator[RowChunk]:
    """Row ranges of about CHUNK_WEIGHTS; their even height keeps packed rows on whole bytes."""
    together = 2 if matrix.alternate else 1
    height = max(2, CHUNK_WEIGHTS // matrix.columns // together // 2 * 2)
    for index in range(0, len(matrix.tensors), together):
        tensors = matrix.tensors[index : index + together]
        rows = checkpoint.tensors[tensors[0]].shape[0]
        for start in range(0, rows, height):
            yield RowChunk(tensors, start, min(start + height, rows))


@dataclass(frozen=True)
class Inputs:
    """What reaches a matrix: float32 [tokens, columns], and the mean square of each column."""

    values: Floats
    importance: Floats


@dataclass(frozen=True)
class Encoded:
    """Rows as stored; ``quantized`` is None where weights stay float16.

    ``product`` is [tokens, rows], of the float weights with the matrix's inputs, where it has some.
    """

    packed: npt.NDArray[Any]
    quantized: Quantized | None
    product: Floats | None = None


def encode(
    checkpoint: Weights,
    chunk: RowChunk,
    encoding: Encoding,
    packing: Packing,
    inputs: Inputs | None = None,
) -> Encoded:
    """Read a chunk and encode it as stored, its scales searched where there are ``inputs``.

    Raises:
        ConversionError: a weight that the format can't hold.
    """
    if encoding.carried:
        return _carried(checkpoint, chunk, encoding, packing, inputs)
    start, stop = chunk.start, chunk.stop
    rows = in_turn([checkpoint.rows(tensor, start, stop) for tensor in chunk.tensors])
    with naming(chunk.tensors[0], encoding.bits):
        encoded = _encoded(rows, encoding, packing, inputs)
    return encoded if inputs is None else replace(encoded, product=inputs.values @ rows.T)


def _carried(
    checkpoint: Weights,
    chunk: RowChunk,
    encoding: Encoding,
    packing: Packing,
    inputs: Inputs | None,
) -> Encoded:
    parts = []
    for tensor in chunk.tensors:
        codes = checkpoint.codes(tensor, chunk.start, chunk.stop)
        with naming(tensor, encoding.bits):
            parts.append(carried(codes, encoding, tensor))
    zeros = [part.zero for part in parts if part.zero is not None]
    found = Quantized(
        in_turn([part.codes for part in parts]),
        in_turn([part.scale for part in parts]),
        in_turn(zeros) if zeros else None,
    )
    product = None if inputs is None else inputs.values @ dequantize(found).T
    return replace(pack(found, encoding, packing), product=product)


def _encoded(rows: Floats, encoding: Encoding, packing: Packing, inputs: Inputs | None) -> Encoded:
    bits, group, sym = encoding.bits, encoding.group, encoding.sym
    if bits == 16:
        with np.errstate(over="raise", invalid="raise"):
            return Encoded(rows.astype(np.float16), None)
    if inputs is not None:
        return pack(searched(rows, bits, group, inputs.importance, sym), encoding, packing)
    method = symmetric if sym else asymmetric
    return pack(method(rows, bits, group), encoding, packing)


def pack(quantized: Quantized, encoding: Encoding, packing: Packing) -> Encoded:
    return Encoded(packing.codes(quantized, encoding), quantized)
