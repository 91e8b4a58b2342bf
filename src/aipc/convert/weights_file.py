"""Quantize a checkpoint into one weights file, in a stream.

A few rows at a time are read, quantized on every core and appended in order: what is in memory
at once is a fixed number of small chunks, whatever the model's size, and the disk is written
once.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from aipc.checkpoint import Weights
from aipc.convert.layout import Array, Layout, Packing, StoredMatrix, StoredTable
from aipc.convert.parts import Matrix, Vector
from aipc.convert.quantizers.attention import read_vector
from aipc.convert.quantizers.feed_forward import Forward
from aipc.convert.quantizers.rtn import Floats, Quantized, naming
from aipc.convert.quantizers.search import importance_of
from aipc.convert.recipe import Encoding
from aipc.convert.row_chunks import CHUNK_WEIGHTS, Encoded, Inputs, chunks, encode, pack
from aipc.errors import CheckpointError
from aipc.progress import Progress, silent

Lookup = Callable[[Matrix], Quantized | None]
"""A matrix's codes where a quantizer has made them; None where it is rounded to nearest."""


def round_all(matrix: Matrix) -> None:
    """The `Lookup` of a conversion that rounds every matrix to nearest, chunk by chunk."""


def write_weights(
    checkpoint: Weights,
    layout: Layout,
    path: Path,
    progress: Progress = silent,
    lookup: Lookup = round_all,
) -> None:
    """Write every array of ``layout`` to ``path``.

    ``lookup`` is called with each matrix once, in the file's order; with each expert's, if it has
    several.

    Raises:
        ConversionError: a weight that has no finite value in the format.
        OSError: the disk is full.
        CheckpointError: a checkpoint that changed or can't be read to its end.
    """
    # rounding multiplies nothing, but for adapters that are merged as rows are read: a product that
    # spreads over all cores in each of as many threads is slower than none
    limit = 1 if lookup is round_all else None
    with ThreadPoolExecutor(os.cpu_count()) as pool, threadpool_limits(limit, "blas"):

        def encode_matrix(stored: StoredMatrix, packing: Packing) -> Iterator[Encoded]:
            whole = [stored.matrix]
            for matrix in whole if lookup is round_all else stored.matrix.each_expert:
                found = lookup(matrix)
                if found is None:
                    yield from _encode_in_order(pool, checkpoint, matrix, stored.encoding, packing)
                else:
                    yield pack(found, stored.encoding, packing)

        write_encoded(checkpoint, layout, path, encode_matrix, progress)


def write_searched(
    checkpoint: Weights, layout: Layout, path: Path, steps: Forward, progress: Progress = silent
) -> None:
    """As `write_weights`, with scales searched for the inputs that ``steps`` gives each matrix.

    The weights are read once: whoever encodes some rows computes their product as well, from which
    come the inputs of the next matrix.  An embedding that is no head is rounded to nearest, as its
    rows are looked up and never multiplied.
    """
    upcoming: tuple[Matrix, Floats] | None = next(steps)

    def encode_matrix(stored: StoredMatrix, packing: Packing) -> Iterator[Encoded]:
        for matrix in stored.matrix.each_expert:
            yield from encode_expert(matrix, stored.encoding, packing)

    def encode_expert(matrix: Matrix, encoding: Encoding, packing: Packing) -> Iterator[Encoded]:
        nonlocal upcoming
        if upcoming is None or upcoming[0] != matrix:
            yield from _encode_in_order(pool, checkpoint, matrix, encoding, packing)
            return
        with naming(matrix.tensors[0], encoding.bits):
            products, inputs = [], Inputs(upcoming[1], importance_of(upcoming[1]))
        for encoded in _encode_in_order(pool, checkpoint, matrix, encoding, packing, inputs):
            if encoded.product is not None:
                products.append(encoded.product)
            yield encoded
        upcoming = _sent(steps, np.concatenate(products, axis=1))

    # as in `write_weights`
    with ThreadPoolExecutor(os.cpu_count()) as pool, threadpool_limits(1, "blas"):
        write_encoded(checkpoint, layout, path, encode_matrix, progress)


def _sent(steps: Forward, product: Floats) -> tuple[Matrix, Floats] | None:
    """The next matrix and its inputs; None after the head."""
    try:
        return steps.send(product)
    except StopIteration:
        return None


def write_encoded(
    checkpoint: Weights,
    layout: Layout,
    path: Path,
    encode_matrix: Callable[[StoredMatrix, Packing], Iterable[Encoded]],
    progress: Progress = silent,
) -> None:
    """As `write_weights`, of matrices that ``encode_matrix`` gives, some rows at a time."""
    with path.open("wb") as file:
        for stored in layout.matrices.values():
            parts = encode_matrix(stored, layout.packing)
            _write_matrix(stored, parts, layout.packing, file)
            progress("quantizing", file.tell(), layout.nbytes)
        for vector in layout.vectors.values():
            values = _finite_vector(checkpoint, vector.vector)
            _append(file, vector.array, _narrow(vector.array, values))
        for table in layout.tables.values():
            _write_table(table, file)
        _pad_to(file, layout.nbytes)
        progress("quantizing", layout.nbytes, layout.nbytes)


def in_flight() -> int:
    """The most chunks read ahead: enough that no core ever waits for the writer."""
    return 2 * (os.cpu_count() or 1)


def _write_matrix(
    stored: StoredMatrix, parts: Iterable[Encoded], packing: Packing, file: BinaryIO
) -> None:
    _pad_to(file, stored.weight.offset)
    scales, zeros = [], []
    for encoded in parts:
        packed = encoded.packed
        if stored.weight.element == "f32":  # numbers of 16 bits, for who can't read them in 16
            packed = packed.astype(np.float32)
        file.write(packed.data)
        if encoded.quantized is not None:
            scales.append(encoded.quantized.scale)
            zeros.append(encoded.quantized.zero)
    if stored.scale is not None:
        _append(file, stored.scale, packing.scale(np.concatenate(scales)))
    if stored.zero is not None:
        zero = np.concatenate([part for part in zeros if part is not None])
        _append(file, stored.zero, packing.zero(zero, stored.encoding))


def _write_table(stored: StoredTable, file: BinaryIO) -> None:
    table, height = stored.table, max(1, CHUNK_WEIGHTS // stored.table.columns)
    _pad_to(file, stored.array.offset)
    for start in range(0, table.rows, height):
        values = table.values(start, min(start + height, table.rows))
        file.write(_narrow(stored.array, values).data)


def _narrow(array: Array, values: Floats) -> npt.NDArray[Any]:
    return values.astype(np.float16) if array.element == "f16" else values


def _encode_in_order(
    pool: ThreadPoolExecutor,
    checkpoint: Weights,
    matrix: Matrix,
    encoding: Encoding,
    packing: Packing,
    inputs: Inputs | None = None,
) -> Iterator[Encoded]:
    """The matrix's chunks, encoded on every core, in their order."""
    waiting: deque[Future[Encoded]] = deque()
    for chunk in chunks(checkpoint, matrix):
        if len(waiting) == in_flight():
            yield waiting.popleft().result()
        waiting.append(pool.submit(encode, checkpoint, chunk, encoding, packing, inputs))
    while waiting:
        yield waiting.popleft().result()


def check_vectors(checkpoint: Weights, vectors: Iterable[Vector]) -> None:
    """Refuse norms and biases without a finite value, which would spoil what is computed of them.

    Raises:
        CheckpointError: naming the first.
    """
    for vector in vectors:
        _finite_vector(checkpoint, vector)


def _finite_vector(checkpoint: Weights, vector: Vector) -> Floats:
    values = read_vector(checkpoint, vector)
    if not np.isfinite(values).all():
        raise CheckpointError(
            f"{vector.tensors[0]} holds values that are no numbers",
            "take another revision of the model, or another file of it",
        )
    return values


def _append(file: BinaryIO, array: Array, values: npt.NDArray[Any]) -> None:
    _pad_to(file, array.offset)
    file.write(np.ascontiguousarray(values).data)


def _pad_to(file: BinaryIO, offset: int) -> None:
    file.write(bytes(offset - file.tell()))
