"""The description of an encoder: a network that reads a text as a whole and writes none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aipc.convert.parts import Compound, Matrix, Vector, parts_of
from aipc.convert.rope import Rope


@dataclass(frozen=True)
class LayerNorm:
    """Values less their mean, over their standard deviation; ``bias`` is None where it has none."""

    weight: Vector
    bias: Vector | None


@dataclass(frozen=True)
class EncoderBlock(Compound):
    """One layer: attention of every token to every token, then a feed-forward network.

    A norm stands before each of the two (``attention_norm``) or behind what both of them add to the
    hidden states (``attention_out_norm``); None where a network has none.  A token
    attends to those fewer than ``window`` positions from it, on either side; None: to all.  The
    rows of ``up`` are as many as ``down`` has columns or, where the network is gated, twice that:
    what is activated, then the gate.
    """

    attention_norm: LayerNorm | None
    query_key_value: Matrix
    bias: Vector | None
    out: Matrix
    out_bias: Vector | None
    attention_out_norm: LayerNorm | None
    feed_forward_norm: LayerNorm | None
    up: Matrix
    up_bias: Vector | None
    down: Matrix
    down_bias: Vector | None
    feed_forward_out_norm: LayerNorm | None
    window: int | None
    rope: Rope | None


@dataclass(frozen=True)
class ScoreHead(Compound):
    """Turns a text's hidden states into its score, one number.

    One vector ("cls", the first token's, or the "mean") times ``dense`` (None: it is left out),
    activated, normed where there is a ``norm``, times ``out``.
    """

    pooling: str
    dense: Matrix | None
    dense_bias: Vector | None
    activation: str
    norm: LayerNorm | None
    out: Matrix
    out_bias: Vector | None


@dataclass(frozen=True)
class EncoderNetwork:
    """Everything that the graph builder needs, independent of any file format.

    ``positions`` and ``types`` are added to the embedding: the first by a token's position, counted
    from ``first_position``, the second by which of a pair's texts it is of.  Each is None where a
    network has none.  Without a ``head`` the network gives the hidden states themselves.
    """

    model_type: str
    hidden: int
    heads: int
    norm_epsilon: float
    activation: str
    gated: bool
    context: int
    embedding: Matrix
    positions: Matrix | None
    first_position: int
    types: Vector | None
    embedding_norm: LayerNorm
    blocks: tuple[EncoderBlock, ...]
    final_norm: LayerNorm | None
    head: ScoreHead | None

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads

    @property
    def tells_types(self) -> bool:
        """Whether a pair's texts are told apart by more than the token between them."""
        return self.types is not None and self.types.length > 1

    @property
    def lookups(self) -> tuple[Matrix, ...]:
        """Matrices whose rows are looked up, and which nothing is multiplied by."""
        return (self.embedding,) if self.positions is None else (self.embedding, self.positions)

    @property
    def exact(self) -> tuple[Matrix, ...]:
        """Matrices that are too small to be worth less than 16 bits."""
        of_head = () if self.head is None else self.head.matrices
        return of_head if self.positions is None else (self.positions, *of_head)

    @property
    def ropes(self) -> tuple[Rope, ...]:
        """Each rotary embedding of the blocks once."""
        found = (block.rope for block in self.blocks if block.rope is not None)
        return tuple(dict.fromkeys(found))

    @property
    def parameters(self) -> int:
        lengths = sum(vector.weights for vector in self.vectors())
        return lengths + sum(matrix.weights for matrix in self.matrices())

    def matrices(self) -> Iterator[Matrix]:
        """Every matrix once, in the order of use."""
        yield from parts_of(self, Matrix)

    def vectors(self) -> Iterator[Vector]:
        yield from parts_of(self, Vector)
