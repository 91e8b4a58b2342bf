"""A stack: some blocks of a network with made-up weights, to time what the whole would take.

It has the matrices of the model's own shape in the encodings of the model's own recipe, but is
written in the time that the disk takes: some rows of noise, encoded once for each matrix, stand in
for all.  The noise is the same in every format, so that what two runtimes answer can be compared,
with each other and with the reference here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from aipc.artifact.files import CONFIG
from aipc.checkpoint.tensors import GridCodes, TensorInfo
from aipc.convert.feed_forward import Experts, FeedForward, Router, SharedExpert
from aipc.convert.layout import Packing, StoredMatrix
from aipc.convert.network import Attention, Block, Mixer, Network, TokenGate, TokenInputs
from aipc.convert.parts import Matrix
from aipc.convert.plans.decoder_plan import DecoderPlan
from aipc.convert.quantizers.activations import logits, matrix_inputs, read_matrix
from aipc.convert.quantizers.rtn import SYMMETRIC_CODES, Floats, Quantized, dequantize
from aipc.convert.recipe import Encoding
from aipc.convert.row_chunks import CHUNK_WEIGHTS, Encoded
from aipc.convert.weights_file import write_encoded
from aipc.records import write_object

CONTEXT = 1024
"""Tokens; more would make tables of rotary embedding larger than the blocks."""
_Whole: TypeAlias = Mixer | FeedForward | Experts | Router | SharedExpert | TokenGate
_Part = TypeVar("_Part", bound="Block | _Whole")
_FACTORS = (0.8, 1.0, 1.25, 0.9, 1.1)
"""Of the scales of one piece and the next, so that not all pieces are alike."""


@dataclass(frozen=True)
class StackSize:
    """How much of a network is in a stack: blocks, and rows of its embedding and of its head."""

    blocks: int
    rows: int


def write_stack(plan: DecoderPlan, size: StackSize, folder: Path) -> None:
    """Write a stack of the planned conversion into the empty ``folder``; it has no tokenizer.

    Raises:
        OSError: the disk is full.
    """
    network = _cut(plan.network, size)
    layout = plan.lay_out(network, _encodings(plan, network), plan.target)
    write_object(folder / CONFIG, _config(plan, network))
    write_encoded(plan.checkpoint, layout, folder / plan.weights_file, _encoded)
    replace(plan, network=network, layout=layout).write_graph(folder)


def next_tokens(
    plan: DecoderPlan, size: StackSize, prompts: Sequence[Sequence[int]]
) -> tuple[int, ...]:
    """The likeliest token after each prompt, all of one length, computed here in float32."""
    network = _cut(plan.network, size)
    weights = _StackWeights(plan, network)
    ids = np.array(prompts, np.int64)
    *_, (head, inputs) = matrix_inputs(weights, network, ids)
    last = inputs.reshape(*ids.shape, -1)[:, -1]
    scores = logits(weights, network, last @ read_matrix(weights, head).T)
    return tuple(int(one) for one in scores.argmax(axis=1))


def _config(plan: DecoderPlan, network: Network) -> dict[str, Any]:
    return {
        **plan.checkpoint.config,
        "num_hidden_layers": len(network.blocks),
        "vocab_size": network.embedding.rows,
        "max_position_embeddings": network.context,
        **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0),
    }


def _cut(network: Network, size: StackSize) -> Network:
    embedding = _own(network.embedding, size.rows)
    blocks = tuple(map(_own_matrices, _in_order(network)[: size.blocks]))
    return replace(
        network,
        blocks=blocks,
        context=min(network.context, CONTEXT),
        embedding=embedding,
        head=embedding if network.tied else _own(network.head, size.rows),
        head_bias=None,
        token_inputs=_of_blocks(network.token_inputs, len(blocks), size.rows),
    )


def _in_order(network: Network) -> list[Block]:
    """The blocks, with one that attends before the others: what runs a stack expects one."""
    first = next(block for block in network.blocks if isinstance(block.mixer, Attention))
    return [first, *(block for block in network.blocks if block is not first)]


def _of_blocks(inputs: TokenInputs | None, blocks: int, rows: int) -> TokenInputs | None:
    """What tokens give to so many blocks."""
    if inputs is None:
        return None
    width = blocks * inputs.width
    embedding = replace(_own(inputs.embedding, rows), columns=width)
    return replace(inputs, embedding=embedding, projection=_own(inputs.projection, width))


def _encodings(plan: DecoderPlan, network: Network) -> dict[str, Encoding]:
    """The plan's; whole rows stay whole where they are shorter."""
    found = {one.name: (one, plan.encodings[one.name]) for one in network.matrices()}
    return {
        name: replace(encoding, group=min(encoding.group, one.columns))
        for name, (one, encoding) in found.items()
    }


def _own_matrices(part: _Part) -> _Part:
    """The part with matrices of its own, those of the parts inside it too."""
    inside = ((field.name, getattr(part, field.name)) for field in fields(part))
    own: dict[str, Any] = {}
    for name, one in inside:
        if isinstance(one, Matrix):
            own[name] = _own(one)
        elif isinstance(one, _Whole):
            own[name] = _own_matrices(one)
        elif name == "gate_up":
            own[name] = tuple(map(_own, one))
    return replace(part, **own)


def _own(matrix: Matrix, rows: int | None = None) -> Matrix:
    """One tensor of its own name, or one an expert, in place of the checkpoint's."""
    tensors = tuple(f"{matrix.name}.{expert}" for expert in range(matrix.experts))
    if matrix.experts == 1:
        tensors = (matrix.name,)
    return replace(matrix, tensors=tensors, rows=rows or matrix.rows, alternate=False)


class _Noise:
    """Some rows for each matrix, which repeat, with other scales each time.

    Of about 1 / sqrt(columns), so that a product keeps the size of its input.
    """

    def __init__(self, matrix: Matrix, encoding: Encoding) -> None:
        self.rows = matrix.rows
        self.height = max(2, CHUNK_WEIGHTS // matrix.columns // 2 * 2)
        shape = self.height, matrix.columns
        random = np.random.default_rng(zlib.crc32(matrix.name.encode()))
        self.quantized: Quantized | None = None
        if encoding.bits == 16:
            deviation = np.sqrt(matrix.columns)
            self.floats = (random.standard_normal(shape) / deviation).astype(np.float16)
        else:
            self.quantized = _quantized(random, shape, encoding)

    def pieces(self) -> Iterator[tuple[int, Quantized | None]]:
        """(height, codes with the piece's own scale or None) of each repetition."""
        for number, start in enumerate(range(0, self.rows, self.height)):
            height = min(self.height, self.rows - start)
            yield height, self._piece(number, height)

    def weights(self, start: int, stop: int) -> Floats:
        """Rows [start, stop), float32."""
        first = start // self.height
        pieces = islice(self.pieces(), first, -(-stop // self.height))
        found = [
            self.floats[:height].astype(np.float32) if piece is None else dequantize(piece)
            for height, piece in pieces
        ]
        return np.concatenate(found)[start - first * self.height :][: stop - start]

    def _piece(self, number: int, height: int) -> Quantized | None:
        if self.quantized is None:
            return None
        codes, scale, zero = self.quantized.codes, self.quantized.scale, self.quantized.zero
        factor = np.float16(_FACTORS[number % len(_FACTORS)])
        kept = None if zero is None else zero[:height]
        return Quantized(codes[:height], scale[:height] * factor, kept)


def _quantized(
    random: np.random.Generator, shape: tuple[int, int], encoding: Encoding
) -> Quantized:
    least, greatest = SYMMETRIC_CODES[encoding.bits]
    codes = random.integers(least, greatest, shape, np.int8, endpoint=True)
    deviation = (greatest - least) / np.sqrt(12) * np.sqrt(shape[1])
    groups = shape[0], shape[1] // encoding.group
    scale = np.full(groups, 1 / deviation, np.float16)
    if encoding.sym:
        return Quantized(codes, scale, None)
    shifted = (codes.astype(np.int16) - least).astype(np.uint8)
    return Quantized(shifted, scale, np.full(groups, -least, np.uint8))


def _encoded(stored: StoredMatrix, packing: Packing) -> Iterator[Encoded]:
    """The matrix as stored, some rows at a time."""
    noise = _Noise(stored.matrix, stored.encoding)
    first = noise.quantized
    packed = noise.floats if first is None else packing.codes(first, stored.encoding)
    flat: npt.NDArray[np.uint8] = np.ascontiguousarray(packed).reshape(-1).view(np.uint8)
    width = len(flat) // noise.height
    for height, piece in noise.pieces():
        yield Encoded(flat[: height * width], piece)


class _StackWeights:
    """A stack's weights by rows, as a checkpoint's: noise for matrices, the model's own vectors."""

    def __init__(self, plan: DecoderPlan, network: Network) -> None:
        self._plan = plan
        self._matrices = {
            tensor: (matrix, expert)
            for matrix in network.matrices()
            for expert, tensor in enumerate(matrix.tensors)
        }
        self._encodings = _encodings(plan, network)
        shapes = {
            name: (matrix.expert_rows, matrix.columns)
            for name, (matrix, _) in self._matrices.items()
        }
        made = {
            name: TensorInfo(name, "F32", shape, 4 * prod(shape)) for name, shape in shapes.items()
        }
        self.tensors: Mapping[str, TensorInfo] = {**plan.checkpoint.tensors, **made}

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> Floats:
        if name not in self._matrices:
            return self._plan.checkpoint.rows(name, start, stop)
        matrix, expert = self._matrices[name]
        rows, before = matrix.expert_rows, expert * matrix.expert_rows
        noise = _Noise(matrix, self._encodings[matrix.name])
        return noise.weights(before + start, before + min(rows if stop is None else stop, rows))

    def codes(self, name: str, start: int, stop: int) -> GridCodes:
        """Never asked for, as nothing of a stack is quantized."""
        return self._plan.checkpoint.codes(name, start, stop)
