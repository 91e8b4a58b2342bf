"""The feed-forward of a block: one for all tokens, or experts and a router that chooses some."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aipc.convert.parts import Matrix, Vector


@dataclass(frozen=True)
class FeedForward:
    """Makes of a token ``down`` of the active gate times up.

    The rows of ``gate_up`` are gates, then ups, each as many as ``down`` has columns.
    """

    gate_up: Matrix
    gate_up_bias: Vector | None
    down: Matrix
    down_bias: Vector | None


@dataclass(frozen=True)
class Router:
    """Chooses for each token the ``active`` experts of the greatest scores, and their weights.

    A score is the product with a row of ``matrix`` [experts, hidden], plus its ``bias``.  Weights
    are multiplied by ``scale``, and are by ``weighting``:

    - "softmax_active": the softmax of the active experts' scores alone (Mixtral, gpt-oss; the same
      as the softmax of all, divided by the sum of the active ones: Qwen3);
    - "softmax": of the softmax of all scores those of the active ones (Qwen3 that norms nothing);
    - "sparsemixer" (PhiMoE; Liu et al. 2023, arXiv 2310.00811): one active expert after the other,
      those before left out, has its share in the softmax of the scores s that are near the greatest
      one left, m: where (m - s) / max(abs(s), m) <= 2 * ``jitter``;
    - "sigmoid": the sigmoids of the active experts' scores, and "sigmoid_active": these divided by
      their sum (LFM2).  The active experts are those of the greatest sigmoids plus ``choice_bias``
      [experts], where there is one.
    """

    matrix: Matrix
    bias: Vector | None
    active: int
    weighting: str
    jitter: float = 0.0
    choice_bias: Vector | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class ClampedGate:
    """Makes of gate g and up u ``(u + 1) * g * sigmoid(alpha * g)`` (gpt-oss).

    Before that g is at most ``limit``, and u from -``limit`` to ``limit``.
    """

    alpha: float
    limit: float


@dataclass(frozen=True)
class SharedExpert:
    """A feed-forward that every token goes through, beside those that a router chooses.

    What it makes is multiplied by the sigmoid of the product with ``gate`` [1, hidden] (Qwen);
    where that is None it is not (Granite).
    """

    feed_forward: FeedForward
    gate: Matrix | None


@dataclass(frozen=True)
class Experts:
    """Several feed-forwards: a token goes through those that the ``router`` chooses.

    What these make of it is added up, each times its weight, and what ``shared`` makes.  The
    matrices hold the rows of all experts that are chosen from, one expert after the other.
    ``gate_up`` is a pair, gates and ups, each of shape
    [experts * width, hidden]; or one matrix [experts * 2 * width, hidden], in which a gate and an
    up of one expert take turns (`joined`).  ``down`` is [experts * hidden, width].  Biases are of
    shape [experts, rows of an expert], that of ``gate_up`` in the order of the one matrix.  A
    network's activation makes a gate active, unless it is ``clamped``.
    """

    router: Router
    gate_up: tuple[Matrix, ...]
    gate_up_bias: Vector | None
    down: Matrix
    down_bias: Vector | None
    clamped: ClampedGate | None = None
    shared: SharedExpert | None = None

    @property
    def count(self) -> int:
        return self.down.experts

    @property
    def width(self) -> int:
        """Of each expert: its gates, or its ups."""
        return self.down.columns

    @property
    def joined(self) -> Experts:
        """The same with gates and ups in one matrix, a row of each in turn."""
        if len(self.gate_up) == 1:
            return self
        gate, up = self.gate_up
        pairs = zip(gate.tensors, up.tensors, strict=True)
        both = replace(
            gate,
            name=f"{gate.name}_up",
            tensors=tuple(tensor for pair in pairs for tensor in pair),
            rows=gate.rows + up.rows,
            alternate=True,
        )
        return replace(self, gate_up=(both,))
