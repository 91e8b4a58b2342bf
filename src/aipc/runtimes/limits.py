"""What a device allows at most: bytes a second from memory, operations a second in products.

A limit is the best that any program here reaches, so every one that multiplies is tried: numpy's
BLAS, OpenVINO and ONNX Runtime, each in the number formats in which artifacts run.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aipc.devices import kind_of
from aipc.devices.onnxruntime import onnx_kinds
from aipc.devices.system.cpu import read_cpu
from aipc.devices.system.memory import read_memory
from aipc.runtimes.onnx.product import onnx_products
from aipc.runtimes.openvino.product import openvino_products

Product = tuple[str, Callable[[], object]]
"""Who multiplies in which format, and what multiplies once."""

_BLOCK = 1 << 30  # bytes; larger than any cache
_ROUNDS = 4
_ROWS, _WIDTH = 512, 4096


@dataclass(frozen=True)
class Rate:
    """A speed of the machine's: ``per_second`` bytes or operations, and how it was found."""

    per_second: float
    how: str


@dataclass(frozen=True)
class Limits:
    """What the device allows at most; a matrix multiplication has 2 operations a weight."""

    bandwidth: Rate | None
    """Bytes a second read from memory."""
    matrix: Rate | None
    """Operations a second in a large product of matrices."""


def measure_limits(device: str) -> Limits:
    """Of the device that a runtime names so; the memory rate is the processor's, and known for it.

    Takes about 4 seconds and 1 GiB of memory.
    """
    bandwidth = read_bandwidth() if kind_of(device) == "cpu" else None
    return Limits(bandwidth, matrix_rate(device))


def better(first: Limits, second: Limits) -> Limits:
    """The faster of either: what another program took is no limit of the machine's."""
    return Limits(_faster(first.bandwidth, second.bandwidth), _faster(first.matrix, second.matrix))


def read_bandwidth(nbytes: int = _BLOCK) -> Rate:
    """Of one block, read by every core at once; takes about a second.

    No runtime's product with one row, nor the sum of all numbers, read it faster than these two.
    """
    threads = read_cpu().usable_threads
    block = np.ones(min(nbytes, read_memory().available // 4) // 4, np.float32)
    parts = np.array_split(block.view(np.int32), threads)
    matrix = block[: len(block) // _WIDTH * _WIDTH].reshape(-1, _WIDTH)
    vector = matrix[0].copy()
    with ThreadPoolExecutor(threads) as pool:
        seconds = {
            "largest number": _fastest(lambda: list(pool.map(np.max, parts))),
            "numpy's BLAS, matrix times vector": _fastest(lambda: matrix @ vector),
        }
    who = min(seconds, key=lambda name: seconds[name])
    passes = _ROUNDS * len(seconds)
    how = f"{threads} threads read {block.nbytes >> 20} MiB, fastest of {passes} passes ({who})"
    return Rate(block.nbytes / seconds[who], how)


def matrix_rate(device: str = "CPU") -> Rate | None:
    """The fastest that anything multiplies there; None where none of them has such a device.

    Takes about 3 seconds with a processor's, of which loading both runtimes is one.
    """
    operations = 2 * _ROWS * _WIDTH**2
    shape = f"{_ROWS}x{_WIDTH} times {_WIDTH}x{_WIDTH}"
    rates = (
        Rate(operations / _fastest(multiply), f"{who}, {shape}")
        for who, multiply in _products(device)
    )
    return max(rates, key=lambda rate: rate.per_second, default=None)


def _products(device: str) -> Iterator[Product]:
    """One at a time, so that only one's memory is held."""
    rows = np.random.default_rng(1).standard_normal((_ROWS, _WIDTH), np.float32)
    yield from openvino_products(rows, device)
    if kind_of(device) == "cpu":
        yield _blas_product(rows)
        if onnx_kinds():
            yield from onnx_products(rows, read_cpu().usable_threads)


def _blas_product(rows: npt.NDArray[np.float32]) -> Product:
    weights = np.full((_WIDTH, _WIDTH), 0.01, np.float32)
    return "numpy's BLAS, float32", lambda: rows @ weights


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some rounds."""
    return min(timeit.repeat(work, number=1, repeat=_ROUNDS))


def _faster(first: Rate | None, second: Rate | None) -> Rate | None:
    known = [rate for rate in (first, second) if rate is not None]
    return max(known, key=lambda rate: rate.per_second, default=None)
