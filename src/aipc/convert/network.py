"""The description of a decoder-only network: sizes, parts, and their checkpoint tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aipc.convert.rope import Rope


@dataclass(frozen=True)
class Matrix:
    """Weights [rows, columns] of one product: checkpoint tensors stacked in order."""

    name: str
    tensors: tuple[str, ...]
    rows: int
    columns: int

    @property
    def weights(self) -> int:
        return self.rows * self.columns


@dataclass(frozen=True)
class Vector:
    """A norm weight or a bias, float32 [length]: checkpoint tensors joined in order.

    ``offset`` is added to the checkpoint's values (some networks store norm weights less 1).
    """

    name: str
    tensors: tuple[str, ...]
    length: int
    offset: float = 0.0


@dataclass(frozen=True)
class Block:
    """One transformer layer: norm, attention, norm, gated feed-forward.

    ``query_norm`` and ``key_norm`` are applied to each head, where a network has them.
    """

    attention_norm: Vector
    query_key_value: Matrix
    bias: Vector | None
    query_norm: Vector | None
    key_norm: Vector | None
    attention_out: Matrix
    feed_forward_norm: Vector
    gate_up: Matrix
    down: Matrix

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        return self.query_key_value, self.attention_out, self.gate_up, self.down

    @property
    def vectors(self) -> tuple[Vector, ...]:
        optional = self.bias, self.query_norm, self.key_norm
        return self.attention_norm, *filter(None, optional), self.feed_forward_norm


@dataclass(frozen=True)
class Network:
    """Everything that a graph builder needs, independent of any file format.

    ``window`` is the number of positions that a token attends to, itself included; None: all.
    ``head`` is the embedding matrix itself where the network ties them.  ``activation`` of the
    gate is "silu" or "gelu_tanh"; embeddings are multiplied by ``embedding_scale``.
    """

    model_type: str
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_epsilon: float
    activation: str
    embedding_scale: float
    context: int
    window: int | None
    rope: Rope
    embedding: Matrix
    blocks: tuple[Block, ...]
    final_norm: Vector
    head: Matrix

    @property
    def tied(self) -> bool:
        return self.head is self.embedding

    @property
    def parameters(self) -> int:
        """All weights, each counted once."""
        lengths = sum(vector.length for vector in self.vectors())
        return lengths + sum(matrix.weights for matrix in self.matrices())

    def matrices(self) -> Iterator[Matrix]:
        """Every matrix once, in the order in which the network finishes with them."""
        if not self.tied:
            yield self.embedding
        for block in self.blocks:
            yield from block.matrices
        yield self.head

    def vectors(self) -> Iterator[Vector]:
        for block in self.blocks:
            yield from block.vectors
        yield self.final_norm
