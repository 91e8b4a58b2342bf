"""A conversion's disk space, memory and time, estimated before it starts."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from aipc.convert.network import Matrix
from aipc.convert.plan import ConversionPlan
from aipc.convert.quantizers.activations import RANDOM_TOKENS
from aipc.convert.quantizers.calibrated import PART_WEIGHTS
from aipc.convert.quantizers.gptq import multiplications
from aipc.convert.recipe import WHOLE_ROW, Recipe
from aipc.convert.weights_file import CHUNK_WEIGHTS, Inputs, chunks, encode, in_flight

INTERPRETER_BYTES = 120 * 10**6
"""Python with numpy, OpenVINO and a tokenizer loaded (measured on Linux)."""
WORKING_BYTES = 12
"""Per weight of a chunk in work: float32, scaled float32, codes, packed codes."""
SEARCH_BYTES = 50 * 10**6
"""Per core that searches scales: its kernels' buffers and the products of random tokens (measured
at Phi-3-mini's size)."""
TOKENIZER_SECONDS = 1.0
CALIBRATING_BYTES = 16
"""The same of a part that is calibrated: float32 by rows and by columns, codes, search."""
CODES_BYTES = 4
"""Per calibrated weight: its code in a part, in the whole, in the matrix before, and packed."""
CALIBRATION_OVERHEAD = 1.9
"""Time of calibration over that of its matrix products (measured with gptq on networks of 0.1 and
3.8 billion weights)."""
LOADED_OVERHEAD = 1.2 if sys.platform == "linux" else 2.1
"""Peak memory over an artifact's bytes while OpenVINO loads it: `aipc.runtimes.openvino.repack`."""
CHECK_OVERHEAD = 2.5
"""Time of a check over that of the float network's matrix products: reading the weights takes a
tenth of it, and the artifact in float32 as long again (measured at Phi-3-mini's size)."""
LOADING_SECONDS = 3.0
"""Of a check besides: a runtime imported, a small artifact loaded."""
SMALLER = (Recipe("int8"), Recipe("int4"), Recipe("int4", group_size=WHOLE_ROW))


@dataclass(frozen=True)
class Forecast:
    """``nbytes`` on the disk, ``memory`` in bytes for the whole process, ``seconds``."""

    nbytes: int
    memory: int
    seconds: float


def forecast(conversion: ConversionPlan, checked_tokens: int = 0) -> Forecast:
    """Sizes are computed; time is extrapolated from a small part of the work, run now.

    ``checked_tokens`` are read by the float network and by the artifact once it is made.
    """
    cores = os.cpu_count() or 1
    streaming = WORKING_BYTES * CHUNK_WEIGHTS * (in_flight() + cores)
    if conversion.recipe.is_searched or conversion.recipe.is_calibrated:
        streaming += SEARCH_BYTES * cores
    encoding = _seconds(conversion) / cores
    loaded = LOADED_OVERHEAD * conversion.nbytes if checked_tokens else 0
    return Forecast(
        nbytes=conversion.nbytes,
        memory=INTERPRETER_BYTES + max(streaming + _calibration_memory(conversion), int(loaded)),
        seconds=TOKENIZER_SECONDS
        + encoding
        + _calibration_seconds(conversion)
        + _check_seconds(conversion, checked_tokens),
    )


def smaller_recipe(conversion: ConversionPlan, room: int) -> Recipe | None:
    """The least drastic recipe for the same target whose artifact takes at most ``room`` bytes."""
    fitting = (recipe for recipe in SMALLER if not conversion.target.misfit(recipe))
    return next((r for r in fitting if conversion.again(r).nbytes <= room), None)


def _seconds(conversion: ConversionPlan) -> float:
    """Time in which one core encodes every weight."""
    layout, checkpoint = conversion.layout, conversion.checkpoint
    largest = max(layout.matrices.values(), key=lambda stored: stored.matrix.weights)
    chunk = next(chunks(checkpoint, largest.matrix))
    inputs = _some_inputs(largest.matrix) if conversion.recipe.is_searched else None
    taken = []
    for _ in range(2):  # the first reads the disk and may compile a kernel
        started = time.perf_counter()
        encode(checkpoint, chunk, largest.encoding, layout.packing, inputs)
        taken.append(time.perf_counter() - started)
    per_weight = min(taken) / chunk.weights(largest.matrix.columns)
    return per_weight * sum(stored.matrix.weights for stored in layout.matrices.values())


def _some_inputs(matrix: Matrix) -> Inputs:
    return Inputs(
        np.ones((RANDOM_TOKENS, matrix.columns), np.float32), np.ones(matrix.columns, np.float32)
    )


def _calibration_memory(conversion: ConversionPlan) -> int:
    """Bytes of hidden states and widest products, of two matrices' codes, and of rows in work."""
    if conversion.calibration is None:
        return 0
    network, calibrated = conversion.network, _calibrated(conversion)
    block, tokens = network.blocks[0], conversion.calibration.ids.size
    states = tokens * (3 * network.hidden + block.gate_up.rows + 2 * block.down.columns)
    largest = max((matrix.weights for matrix in calibrated), default=0)
    codes = CODES_BYTES * largest
    rows = CALIBRATING_BYTES * min(PART_WEIGHTS, largest) * (os.cpu_count() or 1)
    return 4 * states + codes + rows


def _calibration_seconds(conversion: ConversionPlan) -> float:
    """Time of the matrix products of calibration, at the rate at which one runs now."""
    if conversion.calibration is None:
        return 0.0
    tokens, blocks = conversion.calibration.ids.size, conversion.network.blocks
    products = tokens * sum(m.weights for block in blocks for m in block.matrices)
    if conversion.recipe.quantizer == "awq":
        products *= 6  # the network runs twice, and every power's scales are searched (measured)
    if conversion.recipe.quantizer == "gptq":
        products += sum(multiplications(tokens, m.rows, m.columns) for m in _calibrated(conversion))
    return CALIBRATION_OVERHEAD * products / _product_rate()


def _check_seconds(conversion: ConversionPlan, tokens: int) -> float:
    """Time in which the float network and the artifact read so many tokens."""
    if not tokens:
        return 0.0
    products = tokens * conversion.network.parameters
    return LOADING_SECONDS + CHECK_OVERHEAD * products / _product_rate()


def _calibrated(conversion: ConversionPlan) -> list[Matrix]:
    """The matrices of blocks and head that get 4 bits."""
    network, encodings = conversion.network, conversion.encodings
    blocks = [matrix for block in network.blocks for matrix in block.matrices]
    of_four = [matrix for matrix in (*blocks, network.head) if encodings[matrix.name].bits == 4]
    return [matrix for matrix in of_four if not encodings[matrix.name].carried]


def _product_rate() -> float:
    """Multiplications and additions a second of float32 matrix products, one on each core."""
    size, taken = 512, []
    left = np.ones((size, size), np.float32)
    with threadpool_limits(1, "blas"):
        for _ in range(20):  # the least time counts, as whatever else runs makes it longer
            started = time.perf_counter()
            left @ left
            taken.append(time.perf_counter() - started)
    return (os.cpu_count() or 1) * size**3 / min(taken)
