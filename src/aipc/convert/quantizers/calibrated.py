"""Quantize a network's matrices by their inputs on calibration text.

The inputs are those of the float network, not of the matrices quantized before (measured: the KL
divergence is no worse, and the order of the matrices does not matter).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from aipc.checkpoint import Weights
from aipc.convert.network import Network
from aipc.convert.parts import Matrix
from aipc.convert.quantizers.activations import (
    forward,
    matrix_inputs,
    read_matrix,
    row_ranges,
)
from aipc.convert.quantizers.gptq import feedback, gptq
from aipc.convert.quantizers.rtn import Floats, Quantized, asymmetric, dequantize, naming, symmetric
from aipc.convert.quantizers.search import importance_of, searched
from aipc.convert.recipe import Encoding

PART_WEIGHTS = 2**22  # weights that a thread quantizes at once: fewer rows take longer a weight
Prepared = Callable[[Floats, Encoding], Quantized]
Prepare = Callable[[Floats], Prepared]
"""A matrix's inputs [tokens, columns] in, a quantizer of any of its rows out."""


def weighted_search(inputs: Floats) -> Prepared:
    """Scales searched for least error weighted by each input channel's mean square."""
    importance = importance_of(inputs)

    def quantize(rows: Floats, encoding: Encoding) -> Quantized:
        bits, group, sym = encoding.bits, encoding.group, encoding.sym
        return searched(rows, bits, group, importance, sym, thorough=True)

    return quantize


def error_feedback(inputs: Floats) -> Prepared:
    """GPTQ on scales searched with its own Hessian."""
    spread = feedback(inputs)

    def quantize(rows: Floats, encoding: Encoding) -> Quantized:
        return gptq(rows, encoding.bits, encoding.group, spread, encoding.sym)

    return quantize


PREPARE: Mapping[str, Prepare] = {"awq": weighted_search, "gptq": error_feedback}
"""By quantizer.  awq is the search on a network with scales folded in."""


def quantize_calibrated(
    checkpoint: Weights,
    network: Network,
    encodings: Mapping[str, Encoding],
    ids: npt.NDArray[np.int64],
    prepare: Prepare,
) -> Iterator[tuple[Matrix, Quantized]]:
    """The matrices of the blocks and the head that have 4 bits, in the network's order.

    Of several experts each one's rows by themselves, as `activations.forward` gives them.

    The embedding is not among them: its rows are looked up, never multiplied.  In memory at once:
    the codes of two matrices, what ``prepare`` makes for them, and what `activations.forward` holds
    of the calibration tokens ``ids`` [windows, tokens].

    Raises:
        ConversionError: a weight that the format can't hold.
        CheckpointError: a checkpoint that can't be read on.
    """
    steps = forward(checkpoint, network, ids)
    # a product that spreads over all cores in each of as many threads is slower than none
    with ThreadPoolExecutor(os.cpu_count()) as pool, threadpool_limits(1, "blas"):

        def begin(matrix: Matrix, inputs: Floats) -> _Work:
            encoding = encodings[matrix.name]
            is_last = matrix is network.head
            return _Work(pool, checkpoint, matrix, inputs, encoding, prepare, is_last)

        work = begin(*next(steps))
        while not work.is_last:
            following = begin(*steps.send(work.product()))
            if work.codes:
                yield work.matrix, work.quantized()
            work = following
        if work.codes:
            yield work.matrix, work.quantized()


class _Work:
    """A matrix's product with its inputs, and its codes, queued in parts of some rows.

    The quantizer is prepared first, then the product is made, then the codes: so the network goes
    on, and the next matrix is queued, while there are still codes to make and no core ever waits.
    """

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        checkpoint: Weights,
        matrix: Matrix,
        inputs: Floats,
        encoding: Encoding,
        prepare: Prepare,
        is_last: bool,
    ) -> None:
        self.matrix, self.is_last, self._bits = matrix, is_last, encoding.bits
        is_quantized = encoding.bits == 4 and not encoding.carried
        self._product = np.empty((len(inputs), 0 if is_last else matrix.rows), np.float32)

        def multiply(start: int, stop: int) -> None:
            rows = read_matrix(checkpoint, matrix, start, stop)
            self._product[:, start:stop] = inputs @ rows.T

        def quantize(start: int, stop: int) -> Quantized:
            return prepared.result()(read_matrix(checkpoint, matrix, start, stop), encoding)

        ranges = list(row_ranges(matrix.rows, matrix.columns, PART_WEIGHTS))
        if is_quantized:
            prepared = pool.submit(prepare, inputs)
        self._multiplied = [] if is_last else [pool.submit(multiply, *part) for part in ranges]
        self.codes = [pool.submit(quantize, *part) for part in ranges] if is_quantized else []

    def product(self) -> Floats:
        """float32 [tokens, rows], which is handed over and not kept."""
        for part in self._multiplied:
            part.result()
        product = self._product
        del self._product
        return product

    def quantized(self) -> Quantized:
        """All rows.

        Raises:
            ConversionError: a weight that the format can't hold.
        """
        with naming(self.matrix.tensors[0], self._bits):
            parts = [part.result() for part in self.codes]
        zeros = [part.zero for part in parts if part.zero is not None]
        return Quantized(
            np.concatenate([part.codes for part in parts]),
            np.concatenate([part.scale for part in parts]),
            np.concatenate(zeros) if zeros else None,
        )


def lookup_in_order(
    quantized: Iterator[tuple[Matrix, Quantized]],
) -> Callable[[Matrix], Quantized | None]:
    """`quantize_calibrated` as a `weights_file.Lookup`: None for a matrix that it does not yield.

    Matrices have to be looked up in the network's order, so that nothing is kept.
    """
    upcoming = next(quantized, None)

    def lookup(matrix: Matrix) -> Quantized | None:
        nonlocal upcoming
        if upcoming is None or upcoming[0] != matrix:
            return None
        codes = upcoming[1]
        upcoming = next(quantized, None)
        return codes

    return lookup


def measure_quantization_error(
    checkpoint: Weights,
    network: Network,
    encodings: Mapping[str, Encoding],
    ids: npt.NDArray[np.int64],
) -> dict[Matrix, float]:
    """The `quantization_error` of each block matrix of fewer than 16 bits in ``encodings``.

    With the scales of plain rounding: only the ranking is used, and it is fast.  Of several experts
    their mean.  Raises the errors of `quantize_calibrated`.
    """
    errors: dict[str, list[float]] = defaultdict(list)
    for matrix, inputs in matrix_inputs(checkpoint, network, ids):
        encoding = encodings[matrix.name]
        if encoding.bits < 16 and matrix is not network.head and not encoding.carried:
            with naming(matrix.tensors[0], encoding.bits):
                parts = _rounded(checkpoint, matrix, encoding)
                error = quantization_error(parts, importance_of(inputs))
                errors[matrix.name].append(error)
    whole = {matrix.name: matrix for matrix in network.matrices()}
    return {whole[name]: sum(found) / len(found) for name, found in errors.items()}


def _rounded(
    checkpoint: Weights, matrix: Matrix, encoding: Encoding
) -> Iterator[tuple[Floats, Quantized]]:
    """Some rows of a matrix at a time, and the same rounded to nearest."""
    method = symmetric if encoding.sym else asymmetric
    for start, stop in row_ranges(matrix.rows, matrix.columns, PART_WEIGHTS):
        rows = read_matrix(checkpoint, matrix, start, stop)
        yield rows, method(rows, encoding.bits, encoding.group)


def quantization_error(parts: Iterable[tuple[Floats, Quantized]], importance: Floats) -> float:
    """Expected squared change of a matrix's outputs, as a share of their own mean square.

    That is the sum over columns of E[x^2] * error^2, over the same sum with the weights: the
    first-order view of NNCF's "mean activation variance" and HAWQ-like metrics, without gradients
    (Dong et al. 2019, arXiv 1905.03696, weigh the same error by the Hessian's trace).  ``parts``
    are float32 rows [n, k] of the matrix and their codes, ``importance`` is E[x^2] float32 [k].
    """
    lost = whole = 0.0
    for rows, quantized in parts:
        lost += float(np.square(dequantize(quantized) - rows).sum(axis=0) @ importance)
        whole += float(np.square(rows).sum(axis=0) @ importance)
    return lost / whole if whole > 0 else 0.0


def choose_eight_bits(matrices: Mapping[Matrix, float], ratio: float) -> frozenset[str]:
    """Names of the matrices that keep 8 bits, given each one's quantization error.

    At most the share ``ratio`` of all weights is left to 4 bits; the matrices with the greatest
    error per weight go first, ties by name, so that the choice is the same every time.
    """
    total = sum(matrix.weights for matrix in matrices)
    left = total
    chosen = []
    by_cost = sorted(matrices, key=lambda matrix: (-matrices[matrix] / matrix.weights, matrix.name))
    for matrix in by_cost:
        if left <= ratio * total + 1e-6:
            break
        chosen.append(matrix.name)
        left -= matrix.weights
    return frozenset(chosen)
