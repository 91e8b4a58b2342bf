"""A stack: some blocks of a network with made-up weights, to time what the whole would take.

It has the matrices of the model's own shape in the encodings of the model's own recipe, but is
written in the time that the disk takes: one piece of noise, encoded once for each shape, stands in
for all rows.  The same noise in every format, so that two runtimes can be compared by what they
answer.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.artifact.files import CONFIG
from aipc.convert.layout import Packing, StoredMatrix
from aipc.convert.network import Network
from aipc.convert.plan import ConversionPlan
from aipc.convert.quantizers.rtn import SYMMETRIC_CODES, Quantized
from aipc.convert.recipe import Encoding
from aipc.convert.weights_file import CHUNK_WEIGHTS, Encoded, write_encoded
from aipc.records import write_object

CONTEXT = 1024
"""Tokens; more would make tables of rotary embedding larger than the blocks."""
_SCALES = (0.8, 1.0, 1.25, 0.9, 1.1)
"""Times the scale of the piece before: no two rows of a head score the same."""


@dataclass(frozen=True)
class StackSize:
    """How much of a network is in a stack: blocks, and rows of its embedding and of its head."""

    blocks: int
    rows: int


def write_stack(plan: ConversionPlan, size: StackSize, folder: Path) -> None:
    """Write a stack of the planned conversion into the empty ``folder``; it has no tokenizer.

    Raises:
        OSError: the disk is full.
    """
    network = _cut(plan.network, size)
    layout = plan.lay_out(network, plan.encodings, plan.target)
    stack = replace(plan, network=network, layout=layout)
    write_object(folder / CONFIG, _config(plan, network))
    write_encoded(plan.checkpoint, layout, folder / plan.weights_file, _noise)
    stack.write_graph(folder)


def _config(plan: ConversionPlan, network: Network) -> dict[str, Any]:
    return {
        **plan.checkpoint.config,
        "num_hidden_layers": len(network.blocks),
        "vocab_size": network.embedding.rows,
        "max_position_embeddings": network.context,
        **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0),
    }


def _cut(network: Network, size: StackSize) -> Network:
    embedding = replace(network.embedding, rows=size.rows)
    return replace(
        network,
        blocks=network.blocks[: size.blocks],
        context=min(network.context, CONTEXT),
        embedding=embedding,
        head=embedding if network.tied else replace(network.head, rows=size.rows),
    )


def _noise(stored: StoredMatrix, packing: Packing) -> Iterator[Encoded]:
    """The matrix as stored, some rows at a time: the same codes with another scale each time."""
    matrix, encoding = stored.matrix, stored.encoding
    height = max(2, CHUNK_WEIGHTS // matrix.columns // 2 * 2)
    shape = (height, matrix.columns)
    random = np.random.default_rng(zlib.crc32(matrix.name.encode()))
    noise = _codes(shape, encoding, random)
    flat = _stored_bytes(noise, shape, encoding, packing, random)
    width = len(flat) // height
    for start, factor in zip(range(0, matrix.rows, height), itertools.cycle(_SCALES), strict=False):
        rows = min(height, matrix.rows - start)
        part = None if noise is None else _scaled(noise, rows, factor)
        yield Encoded(flat[: rows * width], part)


def _codes(
    shape: tuple[int, int], encoding: Encoding, random: np.random.Generator
) -> Quantized | None:
    """Noise of about 1 / sqrt(columns), so that a product keeps the size of its input.

    None for weights that are not quantized.
    """
    if encoding.bits == 16:
        return None
    least, greatest = SYMMETRIC_CODES[encoding.bits]
    kind, middle = (np.int8, 0) if encoding.sym else (np.uint8, -least)
    codes = random.integers(least, greatest, shape, np.int8, endpoint=True)
    height, columns = shape
    deviation = (greatest - least) / np.sqrt(12)
    groups = (height, columns // encoding.group)
    scale = np.full(groups, 1 / (deviation * np.sqrt(columns)), np.float16)
    zero = None if encoding.sym else np.full(groups, middle, np.uint8)
    return Quantized((codes.astype(np.int16) + middle).astype(kind), scale, zero)


def _stored_bytes(
    noise: Quantized | None,
    shape: tuple[int, int],
    encoding: Encoding,
    packing: Packing,
    random: np.random.Generator,
) -> npt.NDArray[np.uint8]:
    if noise is None:
        packed = (random.standard_normal(shape) / np.sqrt(shape[1])).astype(np.float16)
    else:
        packed = packing.codes(noise, encoding)
    return np.ascontiguousarray(packed).reshape(-1).view(np.uint8)


def _scaled(noise: Quantized, rows: int, factor: float) -> Quantized:
    scale = noise.scale[:rows] * np.float16(factor)
    return Quantized(noise.codes[:rows], scale, None if noise.zero is None else noise.zero[:rows])
