"""The description of a decoder-only network: sizes, parts, and their checkpoint tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

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
class Attention:
    """How a block's tokens attend to one another; blocks that are alike have equal ones.

    Scores are the products of queries and keys times ``scale``.  ``window`` is the number of
    positions that a token attends to, itself included; None: all.  Without a ``rope`` positions
    leave no trace in queries and keys.  Scores are bent to ``softcap * tanh(score / softcap)``
    (Gemma 2).
    """

    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    window: int | None = None
    rope: Rope | None = None
    softcap: float | None = None


@dataclass(frozen=True)
class Block:
    """One transformer layer: norm, attention, norm; norm, gated feed-forward, norm.

    Each norm and bias is None where a network has none.  ``query_norm`` and ``key_norm`` are as
    long as a head, and applied to each, or as long as all heads together.
    """

    attention: Attention
    attention_norm: Vector | None
    query_key_value: Matrix
    bias: Vector | None
    query_norm: Vector | None
    key_norm: Vector | None
    attention_out: Matrix
    attention_out_bias: Vector | None
    attention_out_norm: Vector | None
    feed_forward_norm: Vector | None
    gate_up: Matrix
    gate_up_bias: Vector | None
    down: Matrix
    down_bias: Vector | None
    feed_forward_out_norm: Vector | None

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        return self.query_key_value, self.attention_out, self.gate_up, self.down

    @property
    def vectors(self) -> tuple[Vector, ...]:
        """In the order of use."""
        found = (getattr(self, part.name) for part in fields(self))
        return tuple(part for part in found if isinstance(part, Vector))


@dataclass(frozen=True)
class Network:
    """Everything that a graph builder needs, independent of any file format.

    ``head`` is the embedding matrix itself where the network ties them.  ``activation`` of the
    gate is "silu" or "gelu_tanh".  Embeddings are multiplied by ``embedding_scale``, what a
    block's attention and feed-forward add by ``residual_scale``, logits by ``logits_scale``;
    logits are bent as scores are where there is a ``logits_softcap``.
    """

    model_type: str
    hidden: int
    intermediate: int
    norm_epsilon: float
    activation: str
    context: int
    embedding: Matrix
    blocks: tuple[Block, ...]
    final_norm: Vector
    head: Matrix
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logits_scale: float = 1.0
    logits_softcap: float | None = None

    @property
    def tied(self) -> bool:
        return self.head is self.embedding

    @property
    def attentions(self) -> tuple[Attention, ...]:
        """The different ones, in the order of their first blocks."""
        return tuple(dict.fromkeys(block.attention for block in self.blocks))

    @property
    def ropes(self) -> tuple[Rope, ...]:
        """The different ones, in the order of their first blocks."""
        found = (attention.rope for attention in self.attentions)
        return tuple(dict.fromkeys(rope for rope in found if rope is not None))

    @property
    def rope_switch(self) -> int | None:
        """`Rope.switch` of the blocks that have one."""
        return next((rope.switch for rope in self.ropes if rope.switch is not None), None)

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
