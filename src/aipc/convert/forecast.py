"""A conversion's disk space, memory and time, estimated before it starts."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from threadpoolctl import threadpool_limits

from aipc.convert.feed_forward import Experts, FeedForward
from aipc.convert.parts import Matrix
from aipc.convert.plans.decoder_plan import DecoderPlan
from aipc.convert.plans.plan import ConversionPlan
from aipc.convert.quantizers.activations import RANDOM_TOKENS
from aipc.convert.quantizers.calibrated import PART_WEIGHTS
from aipc.convert.quantizers.gptq import multiplications
from aipc.convert.recipe import WHOLE_ROW, Recipe
from aipc.convert.row_chunks import CHUNK_WEIGHTS, Inputs, chunks, encode
from aipc.convert.weights_file import in_flight

INTERPRETER_BYTES = 120 * 10**6
"""Python with numpy, OpenVINO and a tokenizer loaded (measured on Linux)."""
WORKING_BYTES = 12
"""Per weight of a chunk in work: float32, scaled float32, codes, packed codes."""
SEARCH_BYTES = 50 * 10**6
"""Per core that searches scales: its kernels' buffers and the products of random tokens (measured
at Phi-3-mini's size)."""
PACKAGES_SECONDS = 0.5
"""To import what writes a tokenizer and a graph."""
CALIBRATING_BYTES = 16
"""The same of a part that is calibrated: float32 by rows and by columns, codes, search."""
CODES_BYTES = 4
"""Per calibrated weight: its code in a part, in the whole, in the matrix before, and packed."""
CALIBRATION_OVERHEAD = 1.9
"""Time of calibration over that of its matrix products (measured with gptq on networks of 0.1 and
3.8 billion weights)."""
RESIDENT_OVERHEAD = 1.2
"""Memory over an artifact's bytes that a process needs once its weights are repacked (measured at
Phi-3-mini's size on the CPU: docs/speed.md)."""
LOADED_OVERHEAD = RESIDENT_OVERHEAD if sys.platform == "linux" else 2.1
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


def forecast(
    conversion: ConversionPlan, checked_tokens: int = 0, hashed_bytes: int = 0
) -> Forecast:
    """Sizes are computed; time is extrapolated from small parts of the work, run now.

    ``checked_tokens`` are read by the float network and by the artifact once it is made;
    ``hashed_bytes`` of the checkpoint's files have hashes that nobody knows yet.
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
        seconds=PACKAGES_SECONDS
        + _written_seconds(conversion)
        + (conversion.nbytes + hashed_bytes) / _hash_rate()
        + encoding
        + _calibration_seconds(conversion)
        + _check_seconds(conversion, checked_tokens),
    )


def smaller_recipe(conversion: ConversionPlan, room: int) -> Recipe | None:
    """The least drastic recipe for the same target that can be written in ``room`` bytes."""
    fitting = (recipe for recipe in SMALLER if not conversion.target.misfit(recipe))
    return next((r for r in fitting if conversion.again(r).room <= room), None)


def _seconds(conversion: ConversionPlan) -> float:
    """Time in which one core encodes every weight."""
    layout, checkpoint = conversion.layout, conversion.checkpoint
    largest = max(layout.matrices.values(), key=lambda stored: stored.matrix.weights)
    chunk = next(chunks(checkpoint, largest.matrix))
    inputs = _some_inputs(largest.matrix) if conversion.recipe.is_searched else None
    taken = []
    with threadpool_limits(1, "blas"):  # as the weights are written, each core with a chunk
        for _ in range(3):  # the first reads the disk and may compile a kernel
            started = time.perf_counter()
            encode(checkpoint, chunk, largest.encoding, layout.packing, inputs)
            taken.append(time.perf_counter() - started)
    per_weight = min(taken) / chunk.weights(largest.matrix.columns)
    return per_weight * sum(stored.matrix.weights for stored in layout.matrices.values())


def _written_seconds(conversion: ConversionPlan) -> float:
    """Time in which Python writes the tokenizer and the graph, whatever the size of the weights."""
    network = conversion.network
    steps = conversion.steps_per_token * network.embedding.rows
    return (steps + conversion.steps_per_block * len(network.blocks)) / _step_rate()


def _step_rate() -> float:
    """Entries a second that Python puts into a dictionary now: how fast it runs here."""
    count, taken = 20_000, []
    for _ in range(5):
        started = time.perf_counter()
        dict.fromkeys(map(str, range(count)))
        taken.append(time.perf_counter() - started)
    return count / min(taken)


def _hash_rate() -> float:
    """Bytes a second of SHA-256 on one core; most of a model is one file."""
    piece, taken = bytes(2 * 10**6), []
    for _ in range(3):
        started = time.perf_counter()
        hashlib.sha256(piece)
        taken.append(time.perf_counter() - started)
    return len(piece) / min(taken)


def _some_inputs(matrix: Matrix) -> Inputs:
    return Inputs(
        np.ones((RANDOM_TOKENS, matrix.columns), np.float32), np.ones(matrix.columns, np.float32)
    )


def _calibration_memory(conversion: ConversionPlan) -> int:
    """Bytes of hidden states and widest products, of two matrices' codes, and of rows in work."""
    if not isinstance(conversion, DecoderPlan) or conversion.calibration is None:
        return 0
    network, calibrated = conversion.network, _calibrated(conversion)
    tokens = conversion.calibration.ids.size
    states = tokens * (3 * network.hidden + _widest(network.blocks[-1].feed_forward))
    largest = max((one.expert_rows * one.columns for one in calibrated), default=0)
    codes = CODES_BYTES * largest
    rows = CALIBRATING_BYTES * min(PART_WEIGHTS, largest) * (os.cpu_count() or 1)
    return 4 * states + codes + rows


def _widest(one: FeedForward | Experts) -> int:
    """Numbers of a token that are held at once: gates and ups, their product, inputs of experts."""
    if isinstance(one, FeedForward):
        return one.gate_up.rows + 2 * one.down.columns
    widest = one.router.active * (3 * one.width + one.down.expert_rows)
    return widest if one.shared is None else max(widest, _widest(one.shared.feed_forward))


def _calibration_seconds(conversion: ConversionPlan) -> float:
    """Time of the matrix products of calibration, at the rate at which one runs now."""
    if not isinstance(conversion, DecoderPlan) or conversion.calibration is None:
        return 0.0
    tokens, blocks = conversion.calibration.ids.size, conversion.network.blocks
    products = tokens * sum(m.token_weights for block in blocks for m in block.matrices)
    if conversion.recipe.quantizer == "awq":
        products *= 6  # the network runs twice, and every power's scales are searched (measured)
    if conversion.recipe.quantizer == "gptq":
        products += sum(map(_multiplications, _calibrated(conversion), repeat(tokens)))
    return CALIBRATION_OVERHEAD * products / _product_rate()


def _multiplications(matrix: Matrix, tokens: int) -> int:
    """Of gptq, each expert with its share of the tokens."""
    share = tokens * matrix.active // matrix.experts
    return matrix.experts * multiplications(share, matrix.expert_rows, matrix.columns)


def _check_seconds(conversion: ConversionPlan, tokens: int) -> float:
    """Time in which the float network and the artifact read so many tokens."""
    if not tokens:
        return 0.0
    products = tokens * sum(matrix.token_weights for matrix in conversion.network.matrices())
    return LOADING_SECONDS + CHECK_OVERHEAD * products / _product_rate()


def _calibrated(conversion: DecoderPlan) -> list[Matrix]:
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
