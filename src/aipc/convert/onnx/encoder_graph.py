"""A network that reads whole texts as an ONNX graph: hidden states or scores out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aipc.artifact.providers import GraphForm
from aipc.convert.encoders.network import EncoderBlock, EncoderNetwork, LayerNorm, ScoreHead
from aipc.convert.onnx.nodes import MICROSOFT, Nodes
from aipc.convert.onnx.operators import Operators, Value, as_model
from aipc.convert.onnx.weights import ExternalWeights
from aipc.convert.rope import Rope, table_names

MASKED = -65504.0  # the least float16: finite, so that a row with nothing to attend to stays finite


def build_encoder(network: EncoderNetwork, weights: ExternalWeights, form: GraphForm) -> Any:
    """A ``ModelProto``: ``input_ids``, ``attention_mask`` i64 [batch, tokens] in.

    And ``token_type_ids`` of that shape where the network tells a pair's texts apart.  Out comes
    ``last_hidden_state`` [batch, tokens, hidden] or, with a head, ``logits`` [batch, 1], float32 or
    float16 as the form's activations are.
    """
    nodes = Nodes(form.element)
    operators = Operators(nodes, weights, form, network.norm_epsilon)
    names = ["input_ids", "attention_mask", *["token_type_ids"] * network.tells_types]
    is_scored = network.head is not None
    output = "logits" if is_scored else "last_hidden_state"
    width: list[Any] = [1] if is_scored else ["tokens", network.hidden]
    _Encoder(network, operators, output).build()
    inputs: list[Value] = [(name, "i64", ["batch", "tokens"]) for name in names]
    outputs: list[Value] = [(output, form.element, ["batch", *width])]
    return as_model(network.model_type, nodes, weights, inputs, outputs)


@dataclass
class _Encoder:
    network: EncoderNetwork
    operators: Operators
    output: str
    masks: dict[int | None, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes, self.weights = self.operators.nodes, self.operators.weights
        self.form = self.operators.form
        nodes = self.nodes
        counted = nodes.add("CumSum", ["attention_mask", nodes.integer(1)], "counted")
        less = nodes.add("Sub", [counted, nodes.integer(1)], "counted.less")
        self.positions = nodes.add("Max", [less, nodes.integer(0)], "position_ids")
        present = nodes.cast("attention_mask", "bool")
        self.present = nodes.add("Unsqueeze", [present, nodes.integers(1, 2)], "present")
        self.tables = {
            rope: tuple(map(self.weights.table, table_names(index)))
            for index, rope in enumerate(self.network.ropes)
        }

    def build(self) -> None:
        network, nodes = self.network, self.nodes
        hidden = self._norm(self._embedded(), network.embedding_norm)
        for index, block in enumerate(network.blocks):
            name = f"block.{index}"
            update = self._attention(self._norm(hidden, block.attention_norm), block, name)
            hidden = self._add(hidden, update, block.attention_out_norm, f"{name}.middle")
            update = self._feed_forward(self._norm(hidden, block.feed_forward_norm), block, name)
            hidden = self._add(hidden, update, block.feed_forward_out_norm, f"{name}.out")
        hidden = self._norm(hidden, network.final_norm)
        if network.head is not None:
            hidden = self._score(hidden, network.head)
        nodes.add("Identity", [hidden], self.output)

    def _embedded(self) -> str:
        network, nodes, weights = self.network, self.nodes, self.weights
        embedded = self.operators.rows(network.embedding, "input_ids", "embedded")
        if network.types is not None:
            of_pair = "token_type_ids" if network.tells_types else nodes.integer(0)
            table = weights.vector(network.types.name)
            types = nodes.add("Gather", [table, of_pair], "embedded.types", axis=0)
            embedded = nodes.add("Add", [embedded, types], "embedded.with_types")
        if network.positions is not None:
            first = nodes.integer(network.first_position)
            at = nodes.add("Add", [self.positions, first], "embedded.places")
            places = self.operators.rows(network.positions, at, "embedded.positions")
            embedded = nodes.add("Add", [embedded, places], "embedded.with_positions")
        return embedded

    def _norm(self, value: str, norm: LayerNorm | None) -> str:
        if norm is None:
            return value
        return self.nodes.add(
            "LayerNormalization",
            [value, *self._norm_weights(norm)],
            f"{norm.weight.name}.normed",
            axis=-1,
            epsilon=self.network.norm_epsilon,
            stash_type=1,
        )

    def _norm_weights(self, norm: LayerNorm) -> list[str]:
        parts = [norm.weight] if norm.bias is None else [norm.weight, norm.bias]
        return [self.weights.vector(part.name) for part in parts]

    def _add(self, hidden: str, update: str, norm: LayerNorm | None, name: str) -> str:
        """The sum, normed where there is a norm."""
        if norm is None:
            return self.nodes.add("Add", [hidden, update], name)
        return self.nodes.add(
            "SkipLayerNormalization",
            [hidden, update, *self._norm_weights(norm)],
            name,
            domain=MICROSOFT,
            epsilon=self.network.norm_epsilon,
        )

    def _attention(self, value: str, block: EncoderBlock, name: str) -> str:
        hidden = self.network.hidden
        joint = self.operators.product(value, block.query_key_value, bias=block.bias)
        query, key, values = self.nodes.split(joint, (hidden,) * 3, f"{name}.attention")
        if block.rope is not None:
            query, key = (self._rotate(part, block.rope) for part in (query, key))
        attended = self.nodes.add(
            "MultiHeadAttention",
            [query, key, values, "", "", self._mask(block.window)],
            f"{name}.attended",
            domain=MICROSOFT,
            num_heads=self.network.heads,
        )
        return self.operators.product(attended, block.out, bias=block.out_bias)

    def _rotate(self, part: str, rope: Rope) -> str:
        return self.nodes.add(
            "RotaryEmbedding",
            [part, self.positions, *self.tables[rope]],
            f"{part}.turned",
            domain=MICROSOFT,
            interleaved=0,
        )

    def _feed_forward(self, value: str, block: EncoderBlock, name: str) -> str:
        wide = self.operators.product(value, block.up, bias=block.up_bias)
        if self.network.gated:
            width = block.down.columns
            wide, gate = self.nodes.split(wide, (width, width), f"{name}.wide")
            active = self.operators.activated(wide, self.network.activation)
            wide = self.nodes.add("Mul", [active, gate], f"{name}.gated")
        else:
            wide = self.operators.activated(wide, self.network.activation)
        return self.operators.product(wide, block.down, bias=block.down_bias)

    def _mask(self, window: int | None) -> str:
        """[batch, 1, tokens, tokens]: 0 where a token is attended to, MASKED elsewhere."""
        if window not in self.masks:
            self.masks[window] = self._make_mask(window, f"mask.{window or 'all'}")
        return self.masks[window]

    def _make_mask(self, window: int | None, name: str) -> str:
        nodes = self.nodes
        allowed = self.present
        if window is not None:
            rows, columns = (
                nodes.add("Unsqueeze", [self.positions, nodes.integers(axis)], f"{name}.{axis}")
                for axis in (2, 1)
            )
            apart = nodes.add("Sub", [rows, columns], f"{name}.apart")
            distance = nodes.add("Abs", [apart], f"{name}.distance")
            near = nodes.add("Less", [distance, nodes.integer(window)], f"{name}.near")
            near = nodes.add("Unsqueeze", [near, nodes.integers(1)], f"{name}.near.heads")
            allowed = nodes.add("And", [allowed, near], f"{name}.allowed")
        chosen = nodes.add("Where", [allowed, nodes.real(0), nodes.real(MASKED)], f"{name}.chosen")
        shape = nodes.add("Shape", ["input_ids"], f"{name}.shape")
        count = nodes.add("Gather", [shape, nodes.integers(1)], f"{name}.tokens", axis=0)
        parts = [nodes.integers(1, 1), count, nodes.integers(1)]
        whole = nodes.add("Concat", parts, f"{name}.whole", axis=0)
        return nodes.add("Expand", [chosen, whole], name)

    def _score(self, hidden: str, head: ScoreHead) -> str:
        """[batch, 1]."""
        operators = self.operators
        pooled = self._first(hidden) if head.pooling == "cls" else self._mean(hidden)
        if head.dense is not None:
            pooled = operators.product(pooled, head.dense, bias=head.dense_bias)
            pooled = self._norm(self.operators.activated(pooled, head.activation), head.norm)
        return operators.product(pooled, head.out, bias=head.out_bias)

    def _first(self, hidden: str) -> str:
        return self.nodes.add("Gather", [hidden, self.nodes.integer(0)], "first", axis=1)

    def _mean(self, hidden: str) -> str:
        nodes = self.nodes
        seen = nodes.from_float32(nodes.cast("attention_mask", "f32"))
        seen = nodes.add("Unsqueeze", [seen, nodes.integers(-1)], "seen")
        total = nodes.add("Mul", [hidden, seen], "seen.states")
        total, count = (
            nodes.add("ReduceSum", [one, nodes.integers(1)], f"{one}.sum", keepdims=0)
            for one in (total, seen)
        )
        return nodes.add("Div", [total, count], "mean")
