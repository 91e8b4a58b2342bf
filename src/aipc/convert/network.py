"""The description of a decoder-only network: sizes, parts, and their checkpoint tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from aipc.convert.feed_forward import Experts, FeedForward
from aipc.convert.parts import Compound, Matrix, Vector
from aipc.convert.rope import Rope

UNIT_EPSILON = 1e-6
"""Added to the square of the length by which `GatedDelta` divides queries and keys."""


@dataclass(frozen=True)
class Attention:
    """A mixer: how the tokens of a block attend to one another.

    Scores are the products of queries and keys times ``scale``.  ``window`` is the number of
    positions that a token attends to, itself included; None: all.  Without a ``rope`` positions
    leave no trace in queries and keys.  Scores are bent to ``softcap * tanh(score / softcap)``
    (Gemma 2).  Each bias and norm is None where a network has none; ``query_norm`` and
    ``key_norm`` are as long as a head, and applied to each, or as long as all heads together;
    values are normed by the head, without a weight, where ``norms_values``.  A block that
    ``shares`` has queries alone and takes the keys and values of the block of that index.  Where it
    is ``gated``, each query head is followed by a gate as wide, whose sigmoid multiplies what the
    head attends to (Qwen3.5).  Each head's ``sinks`` entry is one more score in its softmax, not
    multiplied by ``scale``, whose share goes to no token (gpt-oss).
    """

    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    window: int | None
    rope: Rope | None
    softcap: float | None
    query_key_value: Matrix
    bias: Vector | None
    query_norm: Vector | None
    key_norm: Vector | None
    out: Matrix
    out_bias: Vector | None
    norms_values: bool = False
    shares: int | None = None
    gated: bool = False
    sinks: Vector | None = None

    @property
    def query_rows(self) -> int:
        """Of queries, with their gates."""
        return self.heads * self.head_dim * (2 if self.gated else 1)

    @property
    def projection(self) -> Matrix:
        return self.query_key_value


@dataclass(frozen=True)
class ShortConvolution:
    """A mixer: each channel convolved with the last few tokens, between two gates (LFM2).

    The rows of ``projection`` are a gate before, a gate after and a value, each as wide as the
    hidden states.  ``taps`` are [channels, 1, tokens], the last of them for a token itself.
    """

    projection: Matrix
    bias: Vector | None
    taps: Vector
    taps_bias: Vector | None
    out: Matrix
    out_bias: Vector | None


@dataclass(frozen=True)
class GatedDelta:
    """A mixer: a memory for each head, which decays and is corrected (Qwen3.5).

    The rule is that of Yang et al. 2024 (arXiv 2412.06464).  The rows of ``projection`` are
    queries, keys (``key_heads`` of ``key_dim`` each) and values (``value_heads`` of ``value_dim``),
    which are convolved as `ShortConvolution`'s are and then go through a SiLU; a gate as wide as
    the values; for each value head the rate of correction and the step of decay.  A query and a
    key head serve as many value heads as there are to each.  What is found is normed by the head
    with ``norm``.  The steps of decay, after ``step_bias`` and a softplus, are multiplied by the
    exponential of ``decay``, negated.
    """

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    projection: Matrix
    taps: Vector
    decay: Vector
    step_bias: Vector
    norm: Vector
    out: Matrix
    out_bias: None = None

    @property
    def widths(self) -> tuple[int, int, int, int, int, int]:
        """Rows of queries, keys, values, gates, rates and steps."""
        keys, values = self.key_heads * self.key_dim, self.value_heads * self.value_dim
        return keys, keys, values, values, self.value_heads, self.value_heads


Mixer: TypeAlias = Attention | ShortConvolution | GatedDelta
"""The part of a block in which tokens see one another.

It has a ``projection`` of the normed hidden states, and ``out``, which leads back to them.
"""


@dataclass(frozen=True)
class TokenGate:
    """Adds what a block makes of the token itself (Gemma 4).

    That is ``out`` of the active ``gate`` times the block's part of `TokenInputs`, normed.
    """

    gate: Matrix
    out: Matrix
    out_norm: Vector


@dataclass(frozen=True)
class Block(Compound):
    """One layer: norm, mixer, norm; norm, feed-forward, norm; what it makes of the token.

    Each norm and bias is None where a network has none.  All is multiplied by ``scale``, one
    number, in the end.
    """

    mixer_norm: Vector | None
    mixer: Mixer
    mixer_out_norm: Vector | None
    feed_forward_norm: Vector | None
    feed_forward: FeedForward | Experts
    feed_forward_out_norm: Vector | None
    token_gate: TokenGate | None = None
    scale: Vector | None = None


class Layered(Protocol):
    """What every network is to those who store its weights."""

    @property
    def blocks(self) -> Sequence[WithMatrices]: ...

    @property
    def lookups(self) -> tuple[Matrix, ...]: ...

    @property
    def exact(self) -> tuple[Matrix, ...]: ...

    def matrices(self) -> Iterator[Matrix]: ...

    def vectors(self) -> Iterator[Vector]: ...


class WithMatrices(Protocol):
    """A block of a `Layered` network."""

    @property
    def matrices(self) -> tuple[Matrix, ...]: ...


@dataclass(frozen=True)
class TokenInputs:
    """Inputs of the blocks' `TokenGate`, ``width`` for each block (Gemma 4's per-layer embeddings).

    A token's row of ``embedding``, times the root of ``width``, plus ``projection`` of its hidden
    state over the root of the hidden size, normed by the block; both over the root of 2.
    """

    width: int
    embedding: Matrix
    projection: Matrix
    norm: Vector


@dataclass(frozen=True)
class Network:
    """Everything that a graph builder needs, independent of any file format.

    ``head`` is the embedding matrix itself where the network ties them.  ``activation`` of the
    gate is "silu" or "gelu_tanh".  Embeddings are multiplied by ``embedding_scale``, what a
    block's attention and feed-forward add by ``residual_scale``, logits by ``logits_scale``;
    logits are bent as scores are where there is a ``logits_softcap``.  ``head_bias`` is added
    to the product with the head before all that.
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
    token_inputs: TokenInputs | None = None
    head_bias: Vector | None = None
    causal: bool = True
    """Whether tokens attend to none behind them; a `Attention.window` is to either side if not."""

    @property
    def tied(self) -> bool:
        return self.head is self.embedding

    @property
    def attentions(self) -> tuple[Attention, ...]:
        """Those of the blocks that attend, in their order."""
        mixers = (block.mixer for block in self.blocks)
        return tuple(mixer for mixer in mixers if isinstance(mixer, Attention))

    @property
    def mixtures(self) -> tuple[Experts, ...]:
        """Those of the blocks that have experts, in their order."""
        found = (block.feed_forward for block in self.blocks)
        return tuple(one for one in found if isinstance(one, Experts))

    @property
    def exact(self) -> tuple[Matrix, ...]:
        """Matrices that keep 16 bits: an expert chosen or weighed wrongly is a large error."""
        shared = (one.shared.gate for one in self.mixtures if one.shared is not None)
        gates = (gate for gate in shared if gate is not None)
        return (*(one.router.matrix for one in self.mixtures), *gates)

    @property
    def is_hybrid(self) -> bool:
        """Whether some blocks do not attend, but keep a state that can't be cut back."""
        return len(self.attentions) < len(self.blocks)

    @property
    def ropes(self) -> tuple[Rope, ...]:
        """The different ones, in the order of their first blocks."""
        found = (attention.rope for attention in self.attentions)
        return tuple(dict.fromkeys(rope for rope in found if rope is not None))

    @property
    def shared(self) -> frozenset[int]:
        """Indices of the blocks whose keys and values others take."""
        return frozenset(one.shares for one in self.attentions if one.shares is not None)

    @property
    def rope_switch(self) -> int | None:
        """`Rope.switch` of the blocks that have one."""
        return next((rope.switch for rope in self.ropes if rope.switch is not None), None)

    @property
    def parameters(self) -> int:
        """All weights, each counted once."""
        lengths = sum(vector.weights for vector in self.vectors())
        return lengths + sum(matrix.weights for matrix in self.matrices())

    @property
    def lookups(self) -> tuple[Matrix, ...]:
        """Matrices whose rows are looked up, and which nothing is multiplied by."""
        own = () if self.tied else (self.embedding,)
        return own if self.token_inputs is None else (*own, self.token_inputs.embedding)

    def matrices(self) -> Iterator[Matrix]:
        """Every matrix once, in the order in which the network finishes with them."""
        yield from self.lookups
        if self.token_inputs is not None:
            yield self.token_inputs.projection
        for block in self.blocks:
            yield from block.matrices
        yield self.head

    def vectors(self) -> Iterator[Vector]:
        if self.token_inputs is not None:
            yield self.token_inputs.norm
        for block in self.blocks:
            yield from block.vectors
        yield self.final_norm
        if self.final_norm.bias is not None:
            yield self.final_norm.bias
        if self.head_bias is not None:
            yield self.head_bias
