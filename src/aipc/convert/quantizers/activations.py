"""Run a network on the CPU, in numpy, for the inputs of each matrix.

Weights are read a few rows at a time: in memory are the hidden states of the calibration windows
and what is computed from them, no whole matrix.  Windows start at position 0 and are shorter than
any rotary switch that matters here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from aipc.checkpoint import Weights
from aipc.convert.network import Attention, Block, Mixer, Network, ShortConvolution
from aipc.convert.parts import Matrix, Vector
from aipc.convert.quantizers.attention import (
    CausalAttention,
    bend,
    biased,
    normalized,
    read_vector,
)
from aipc.convert.quantizers.feed_forward import ACTIVATIONS, Forward, feed_forward
from aipc.convert.quantizers.recurrent import DeltaRule, GatedConvolution
from aipc.convert.quantizers.rtn import Floats

READ_WEIGHTS = 2**22  # at once: 17 MB in float32, and enough for products to run at full speed
RANDOM_TOKENS = 64
"""What the channels of random tokens show serves the search of scales as well as text does, and
eight times as many tokens no better (docs/convert.md)."""


def read_matrix(
    checkpoint: Weights, matrix: Matrix, start: int = 0, stop: int | None = None
) -> Floats:
    """Rows [start, stop), float32, of a matrix stacked from its tensors.

    Of tensors that alternate both bounds are even.
    """
    stop, found, first = matrix.rows if stop is None else stop, [], 0
    together = 2 if matrix.alternate else 1
    for index in range(0, len(matrix.tensors), together):
        tensors = matrix.tensors[index : index + together]
        height = together * checkpoint.tensors[tensors[0]].shape[0]
        low, high = (max(start - first, 0), min(stop - first, height))
        if low < high:
            low, high = low // together, high // together
            found.append(in_turn([checkpoint.rows(tensor, low, high) for tensor in tensors]))
        first += height
    return found[0] if len(found) == 1 else np.concatenate(found)


_Number = TypeVar("_Number", bound=np.generic)


def in_turn(parts: Sequence[npt.NDArray[_Number]]) -> npt.NDArray[_Number]:
    """The rows of several arrays of one shape: the first of each, the second of each ..."""
    if len(parts) == 1:
        return parts[0]
    joined = np.stack(parts, axis=1)
    return joined.reshape(-1, *joined.shape[2:])


def row_ranges(rows: int, columns: int, weights: int) -> Iterator[tuple[int, int]]:
    """Ranges [start, stop) of rows, each of at most ``weights`` weights or one row."""
    height = max(1, weights // columns)
    return ((start, min(start + height, rows)) for start in range(0, rows, height))


def matrix_inputs(
    checkpoint: Weights, network: Network, ids: npt.NDArray[np.int64]
) -> Iterator[tuple[Matrix, Floats]]:
    """Each matrix of the blocks, then the head, with its inputs float32 [tokens, columns].

    Of a matrix of several experts each expert's rows by themselves, with the inputs that the router
    gives it.  Matrices come in the order of use; ``ids`` are [windows, tokens].
    The inputs are those of the float network, not of one whose earlier matrices are quantized.

    Raises:
        CheckpointError: a checkpoint that can't be read on.
    """
    steps = forward(checkpoint, network, ids)
    matrix, inputs = next(steps)
    while matrix is not network.head:
        yield matrix, inputs
        matrix, inputs = steps.send(_product(checkpoint, matrix, inputs))
    yield matrix, inputs


def forward(checkpoint: Weights, network: Network, ids: npt.NDArray[np.int64]) -> Forward:
    """`matrix_inputs` for whoever reads the weights anyway: each product is sent in.

    The head comes last, and nothing is to be sent for it.
    """
    hidden = embed(checkpoint, network, ids)
    of_tokens = yield from _token_inputs(checkpoint, network, hidden, ids)
    kept: dict[int, Floats] = {}
    for index, block in enumerate(network.blocks):
        state = _State(hidden, of_tokens[index], kept, index, ids.shape[1])
        yield from _block_forward(checkpoint, network, block, state)
    yield network.head, normalized(checkpoint, hidden, network.final_norm, network.norm_epsilon)


def random_tokens(network: Network) -> npt.NDArray[np.int64]:
    """One window [1, RANDOM_TOKENS] of tokens drawn evenly from the vocabulary, always the same."""
    drawn = np.random.default_rng(0).integers(0, network.embedding.rows, (1, RANDOM_TOKENS))
    return drawn.astype(np.int64)


def embed(checkpoint: Weights, network: Network, ids: npt.NDArray[np.int64]) -> Floats:
    """Hidden states float32 [tokens, hidden] of token ids, one window after another."""
    return _look_up(checkpoint, network.embedding, ids) * np.float32(network.embedding_scale)


def _look_up(checkpoint: Weights, table: Matrix, ids: npt.NDArray[np.int64]) -> Floats:
    rows, places = np.unique(ids, return_inverse=True)
    found = [read_matrix(checkpoint, table, row, row + 1) for row in rows.tolist()]
    looked_up: Floats = np.concatenate(found)[places.reshape(-1)]
    return looked_up


def _token_inputs(
    checkpoint: Weights, network: Network, hidden: Floats, ids: npt.NDArray[np.int64]
) -> Generator[tuple[Matrix, Floats], Floats, list[Floats | None]]:
    """Of each block, float32 [tokens, width]; see `TokenInputs`."""
    one, count = network.token_inputs, len(network.blocks)
    if one is None:
        return [None] * count
    projected = (yield one.projection, hidden) / np.float32(np.sqrt(network.hidden))
    shape = len(hidden), count, one.width
    normed = normalized(checkpoint, projected.reshape(shape), one.norm, network.norm_epsilon)
    looked_up = _look_up(checkpoint, one.embedding, ids).reshape(shape)
    both = (normed + looked_up * np.float32(np.sqrt(one.width))) / np.float32(np.sqrt(2))
    return list(both.transpose(1, 0, 2))


@dataclass(frozen=True)
class _State:
    """What a block starts from; ``hidden`` becomes its output in place.

    ``kept`` are the keys and values [tokens, 2 * width] of blocks before, by index.
    """

    hidden: Floats
    of_token: Floats | None
    kept: dict[int, Floats]
    index: int
    window: int


def _block_forward(checkpoint: Weights, network: Network, block: Block, state: _State) -> Forward:
    """The block's matrices and their inputs."""
    hidden = state.hidden

    def normed(values: Floats, vector: Vector | None) -> Floats:
        return normalized(checkpoint, values, vector, network.norm_epsilon)

    scale = np.float32(network.residual_scale)
    mixer = block.mixer
    joint = yield mixer.projection, normed(hidden, block.mixer_norm)
    if isinstance(mixer, Attention):
        joint = _with_shared(joint, network, mixer, state)
    mix = _mixing(checkpoint, network, mixer, state.window)
    windows = np.split(joint, len(joint) // state.window)
    mixed = np.concatenate([mix(one) for one in windows])
    del joint, windows
    update = biased(checkpoint, (yield mixer.out, mixed), mixer.out_bias)
    del mixed
    hidden += normed(update, block.mixer_out_norm) * scale
    inputs = normed(hidden, block.feed_forward_norm)
    update = yield from feed_forward(checkpoint, network, block.feed_forward, inputs)
    del inputs
    hidden += normed(update, block.feed_forward_out_norm) * scale
    if block.token_gate is not None and state.of_token is not None:
        gate = ACTIVATIONS[network.activation]((yield block.token_gate.gate, hidden))
        update = yield block.token_gate.out, gate * state.of_token
        hidden += normed(update, block.token_gate.out_norm)
    if block.scale is not None:
        hidden *= read_vector(checkpoint, block.scale)


def _with_shared(joint: Floats, network: Network, one: Attention, state: _State) -> Floats:
    """Joint query, key and value, where keys and values may be those of a block before."""
    if one.shares is not None:
        joint = np.concatenate([joint, state.kept[one.shares]], axis=1)
    if state.index in network.shared:
        state.kept[state.index] = joint[:, one.query_rows :].copy()
    return joint


def _mixing(
    checkpoint: Weights, network: Network, mixer: Mixer, tokens: int
) -> Callable[[Floats], Floats]:
    """Makes of a window's product with ``mixer.projection`` the inputs of ``mixer.out``."""
    if isinstance(mixer, Attention):
        return CausalAttention(checkpoint, network, mixer, tokens)
    if isinstance(mixer, ShortConvolution):
        return GatedConvolution(checkpoint, mixer)
    return DeltaRule(checkpoint, network, mixer)


def _product(checkpoint: Weights, matrix: Matrix, inputs: Floats) -> Floats:
    """Of the matrix with ``inputs``, float32 [tokens, rows]."""
    product = np.empty((len(inputs), matrix.rows), np.float32)
    for start, stop in row_ranges(matrix.rows, matrix.columns, READ_WEIGHTS):
        product[:, start:stop] = inputs @ read_matrix(checkpoint, matrix, start, stop).T
    return product


def mean_square(inputs: Floats) -> Floats:
    """Mean square of each column, float32 [columns], without a copy of ``inputs``."""
    total: Floats = np.einsum("tk,tk->k", inputs, inputs)
    return total / np.float32(len(inputs))


def logits(checkpoint: Weights, network: Network, product: Floats) -> Floats:
    """The scores of the next token from the product of the head."""
    product = biased(checkpoint, product, network.head_bias) * np.float32(network.logits_scale)
    cap = network.logits_softcap
    return product if cap is None else bend(product, cap)
