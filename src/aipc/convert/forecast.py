"""A conversion's disk space, memory and time, estimated before it starts."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np

from aipc.convert.network import Matrix
from aipc.convert.plan import ConversionPlan
from aipc.convert.quantizers.activations import RANDOM_TOKENS
from aipc.convert.quantizers.calibrated import PART_WEIGHTS
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
SEARCHING_BYTES = 32
"""The same where scales are searched and errors are fed back."""
CODES_BYTES = 4
"""Per calibrated weight: its code in a part, in the whole, in the matrix before, and packed."""
ALLOCATOR_OVERHEAD = 1.1
"""Memory taken over memory requested (measured: 1.03 GB at Phi-3-mini's width)."""
CALIBRATION_OVERHEAD = 3.0
"""Time of calibration over that of its matrix products (measured on networks of 0.1 billion
weights; less on larger ones)."""
SMALLER = (Recipe("int8"), Recipe("int4"), Recipe("int4", group_size=WHOLE_ROW))


@dataclass(frozen=True)
class Forecast:
    """``nbytes`` on the disk, ``memory`` in bytes for the whole process, ``seconds``."""

    nbytes: int
    memory: int
    seconds: float


def forecast(conversion: ConversionPlan) -> Forecast:
    """Sizes are computed; time is extrapolated from a small part of the work, run now."""
    cores = os.cpu_count() or 1
    streaming = WORKING_BYTES * CHUNK_WEIGHTS * (in_flight() + cores)
    if conversion.recipe.weight_format != "fp16" and conversion.recipe.quantizer != "rtn":
        streaming += SEARCH_BYTES * cores
    return Forecast(
        nbytes=conversion.nbytes,
        memory=INTERPRETER_BYTES + streaming + _calibration_memory(conversion),
        seconds=TOKENIZER_SECONDS + _seconds(conversion) / cores + _calibration_seconds(conversion),
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
    """Bytes of hidden states and widest products, a Hessian, codes, and rows in work."""
    if conversion.calibration is None:
        return 0
    network, calibrated = conversion.network, _calibrated(conversion)
    block = network.blocks[0]
    widest = max(block.query_key_value.rows, block.down.columns)
    states = 4 * conversion.calibration.ids.size * (3 * network.hidden + widest)
    hessian = 0
    if conversion.recipe.quantizer == "gptq":
        hessian = 4 * max((matrix.columns**2 for matrix in calibrated), default=0)
    codes = CODES_BYTES * max((matrix.weights for matrix in calibrated), default=0)
    rows = SEARCHING_BYTES * PART_WEIGHTS * (os.cpu_count() or 1)
    return int(ALLOCATOR_OVERHEAD * (states + hessian + codes + rows))


def _calibration_seconds(conversion: ConversionPlan) -> float:
    """Time of the matrix products of calibration, at the rate at which one runs now."""
    if conversion.calibration is None:
        return 0.0
    tokens, blocks = conversion.calibration.ids.size, conversion.network.blocks
    products = tokens * sum(m.weights for block in blocks for m in block.matrices)
    if conversion.recipe.quantizer == "awq":
        products *= 2  # the network runs twice: scales are chosen before anything is quantized
    if conversion.recipe.quantizer == "gptq":  # the Hessians, and the feedback of errors
        products += sum((tokens + m.rows) * m.columns**2 for m in _calibrated(conversion))
    return CALIBRATION_OVERHEAD * products / _product_rate()


def _calibrated(conversion: ConversionPlan) -> list[Matrix]:
    """The matrices of blocks and head that get 4 bits."""
    network, encodings = conversion.network, conversion.encodings
    blocks = [matrix for block in network.blocks for matrix in block.matrices]
    return [matrix for matrix in (*blocks, network.head) if encodings[matrix.name].bits == 4]


def _product_rate() -> float:
    """Multiplications and additions a second of a float32 matrix product."""
    size = 1024
    left = np.ones((size, size), np.float32)
    started = time.perf_counter()
    for _ in range(4):
        left @ left
    return 4 * size**3 / (time.perf_counter() - started)
