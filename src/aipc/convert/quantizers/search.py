"""Scales searched for least error, each input channel's weighted by how active the channel is.

For some clipping ranges a group, the codes are rounded and the scale that fits them best in the
sense of weighted least squares is computed in closed form; the range with the least error wins.
Weighting each squared error by the mean square of its input channel's activation is the diagonal
of the loss that GPTQ minimizes (Frantar et al. 2022, arXiv 2210.17323, equation 1); the search
over ranges with a refitted scale is that of llama.cpp's k-quants with importance matrix.

The search is a graph that OpenVINO's CPU plugin compiles to one kernel for each shape, since its
vector code takes a third of numpy's time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from aipc.convert.quantizers.activations import mean_square
from aipc.convert.quantizers.rtn import (
    SYMMETRIC_CODES,
    Floats,
    InfiniteInputs,
    Quantized,
    float16_scale,
    round_to,
)

SHARES = {
    (4, True): (0.97, 0.85, 0.73),
    (4, False): (0.99, 0.93, 0.87, 0.81, 0.75, 0.69),
    (8, True): (1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82),
    (8, False): (1.0, 0.96, 0.92, 0.88),
}
"""The scales tried, by bits and symmetry, as shares of the one that clips nothing.

More of them take time and leave at most 6% less error (measured on five blocks of the small real
model)."""
FINE_SHARES = tuple(s * t for s in (1.0, 0.94, 0.88, 0.82, 0.76, 0.7, 0.64) for t in (1.0, -8 / 7))
"""The same for a thorough search of symmetric 4 bits.

Negative ones turn the range, which reaches one code farther below 0 than above.
"""
WEIGHTS_AT_ONCE = 2**18  # a fixed number, as a graph of any height takes twice as long
_NEARLY_ZERO = 1e-30  # added where a sum that is 0 would divide


def searched(
    rows: Floats,
    bits: int,
    group: int,
    importance: Floats | None = None,
    sym: bool = True,
    *,
    thorough: bool = False,
) -> Quantized:
    """Codes of rows on the searched scales (and zero points).

    Args:
        rows: float32 [n, k], k a multiple of ``group``.
        bits: 4 or 8.
        group: weights that share one scale.
        importance: float32 [k], the weight of each column's squared error; None: all equal.
        sym: without zero points.
        thorough: try more scales, where the search is a small part of the work.

    Raises:
        FloatingPointError: when a weight is no number or its scale exceeds float16.
    """
    if not np.isfinite(np.vdot(rows, rows)):
        raise FloatingPointError("a weight is not a number or too large for a float16 scale")
    grouped = np.ascontiguousarray(rows).reshape(len(rows), -1, group)
    shares = FINE_SHARES if thorough and (bits, sym) == (4, True) else SHARES[bits, sym]
    search = _search(bits, sym, *grouped.shape[1:], shares)
    wide, zero = search(grouped, _weights(importance, grouped))
    return round_to(rows, float16_scale(wide), zero, bits)


def importance_of(inputs: Floats) -> Floats:
    """The mean square [columns] of each channel of inputs [tokens, columns].

    Raises:
        InfiniteInputs: it is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        importance = mean_square(inputs)
    if not np.isfinite(importance).all():
        raise InfiniteInputs
    return importance


def _weights(importance: Floats | None, grouped: Floats) -> Floats:
    """[1, groups, group], 1 on average, so that sums stay far from float32's ends."""
    _, groups, group = grouped.shape
    mean = 0.0 if importance is None else float(importance.mean())
    if importance is None or mean == 0:
        return np.ones((1, groups, group), np.float32)
    return (importance / np.float32(mean)).reshape(1, groups, group)


def rows_at_once(columns: int) -> int:
    """How many rows one run of a graph takes."""
    return max(1, WEIGHTS_AT_ONCE // columns)


class _Search:
    """A compiled graph; each thread has a request of its own."""

    def __init__(
        self, bits: int, sym: bool, groups: int, group: int, shares: tuple[float, ...]
    ) -> None:
        import openvino as ov

        cores = os.cpu_count() or 1
        properties: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": cores,
            "NUM_STREAMS": cores,
            "ENABLE_CPU_PINNING": False,
        }
        graph = _graph(bits, sym, groups, group, shares)
        self._compiled = ov.Core().compile_model(graph, "CPU", properties)
        self._height = rows_at_once(groups * group)
        self._thread = threading.local()

    def __call__(self, grouped: Floats, weights: Floats) -> tuple[Floats, Floats | None]:
        """The best scales and zero points, each float32 [n, groups]."""
        parts = [
            self._run(grouped[start : start + self._height], weights)
            for start in range(0, len(grouped), self._height)
        ]
        found = [np.concatenate(values) for values in zip(*parts, strict=True)]
        return found[0], found[1] if len(found) > 1 else None

    def _run(self, grouped: Floats, weights: Floats) -> list[Floats]:
        import openvino as ov

        if not hasattr(self._thread, "request"):
            self._thread.request = self._compiled.create_infer_request()
        request, count = self._thread.request, len(grouped)
        if count < self._height:
            grouped = np.pad(grouped, ((0, self._height - count), (0, 0), (0, 0)))
        for index, values in enumerate((grouped, weights)):
            request.set_input_tensor(index, ov.Tensor(values, shared_memory=True))
        request.infer()
        return [tensor.data[:count, :, 0].copy() for tensor in request.output_tensors]


@lru_cache(maxsize=16)
def _compiled(bits: int, sym: bool, groups: int, group: int, shares: tuple[float, ...]) -> _Search:
    return _Search(bits, sym, groups, group, shares)


_compiling = threading.Lock()


def release() -> None:
    """Free what was compiled: 120 MB for three shapes on two cores."""
    with _compiling:
        _compiled.cache_clear()


def _search(bits: int, sym: bool, groups: int, group: int, shares: tuple[float, ...]) -> _Search:
    with _compiling:  # once, not in each thread
        return _compiled(bits, sym, groups, group, shares)


def _graph(bits: int, sym: bool, groups: int, group: int, shares: tuple[float, ...]) -> Any:
    import openvino as ov
    from openvino import opset13 as op

    rows = op.parameter([rows_at_once(groups * group), groups, group], np.float32)
    weights = op.parameter([1, groups, group], np.float32)
    candidates = _symmetric if sym else _asymmetric
    results = _best(rows, weights, *candidates(rows, bits, shares))
    return ov.Model([op.result(node) for node in results], [rows, weights], "scale search")


def _best(rows: Any, weights: Any, start: tuple[Any, ...], candidates: Iterator[Any]) -> list[Any]:
    """Scale, and zero point where ``start`` has one, of the candidate with the least error.

    With codes q the best scale is sum(w q x) / sum(w q^2), and the error that it takes away the
    square of the first sum over the second.
    """
    from openvino import opset13 as op

    axis, weighted = np.array([2]), op.multiply(rows, weights)
    best, most = list(start), op.multiply(start[0], _float(0))
    for codes, *zero in candidates:
        fit = op.reduce_sum(op.multiply(codes, weighted), axis, keep_dims=True)
        squares = op.multiply(op.multiply(codes, codes), weights)
        size = op.reduce_sum(squares, axis, keep_dims=True)
        scale = op.divide(fit, op.add(size, _float(_NEARLY_ZERO)))
        explained = op.multiply(fit, scale)
        is_better = op.greater(explained, most)
        best = [op.select(is_better, *pair) for pair in zip((scale, *zero), best, strict=True)]
        most = op.select(is_better, explained, most)
    return best


def _symmetric(
    rows: Any, bits: int, shares: tuple[float, ...]
) -> tuple[tuple[Any], Iterator[tuple[Any]]]:
    """The scale that clips nothing, and the codes of each scale tried."""
    from openvino import opset13 as op

    low, high = _ends(rows)
    extreme = op.select(op.greater(high, op.negative(low)), high, low)
    least, greatest = SYMMETRIC_CODES[bits]
    full = op.multiply(extreme, _float(1 / least))
    inverse = _inverse(full)

    def candidates() -> Iterator[tuple[Any]]:
        for share in shares:
            exact = op.multiply(rows, op.multiply(inverse, _float(1 / share)))
            yield (op.clamp(op.round(exact, "half_to_even"), least, greatest),)

    return (full,), candidates()


def _asymmetric(
    rows: Any, bits: int, shares: tuple[float, ...]
) -> tuple[tuple[Any, Any], Iterator[tuple[Any, Any]]]:
    """The scale and zero point that clip nothing, then codes less their zero points, and these.

    Each scale is tried with the two whole zero points about the one that clips as much above as
    below.
    """
    from openvino import opset13 as op

    top, (low, high) = 2**bits - 1, _ends(rows)
    low, high = op.minimum(low, _float(0)), op.maximum(high, _float(0))
    full = op.multiply(op.subtract(high, low), _float(1 / top))
    inverse = _inverse(full)
    below = op.multiply(op.negative(low), inverse)  # codes between the least weight and 0

    def candidates() -> Iterator[tuple[Any, Any]]:
        for share in shares:
            scaled = op.multiply(rows, op.multiply(inverse, _float(1 / share)))
            middle = op.multiply(below, _float((1 + share) / 2 / share))
            for whole in (op.floor(middle), op.ceiling(middle)):
                zero = op.clamp(whole, 0, top)
                code = op.round(op.add(scaled, zero), "half_to_even")
                yield op.subtract(op.clamp(code, 0, top), zero), zero

    return (full, op.clamp(op.round(below, "half_to_even"), 0, top)), candidates()


def _ends(rows: Any) -> tuple[Any, Any]:
    """The least and greatest weight of each group."""
    from openvino import opset13 as op

    reductions: tuple[Callable[..., Any], ...] = op.reduce_min, op.reduce_max
    low, high = (reduce(rows, np.array([2]), keep_dims=True) for reduce in reductions)
    return low, high


def _inverse(full: Any) -> Any:
    """1 / full; 1 where it is 0, as all of that group's weights are."""
    from openvino import opset13 as op

    return op.divide(_float(1), op.select(op.equal(full, _float(0)), _float(1), full))


def _float(value: float) -> Any:
    from openvino import opset13 as op

    return op.constant(np.array(value, np.float32))
