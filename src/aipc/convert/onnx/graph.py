"""The network as an ONNX graph of ONNX Runtime's own operators; see docs/graph.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aipc.artifact.providers import GraphForm
from aipc.convert.feed_forward import Experts, FeedForward, SharedExpert
from aipc.convert.network import Attention, GatedDelta, Mixer, Network, ShortConvolution
from aipc.convert.onnx.attention import PAST, PRESENT, ONNXAttention
from aipc.convert.onnx.convolution import PAST_TOKENS, PRESENT_TOKENS, add_convolution
from aipc.convert.onnx.delta import PAST_MEMORY, PRESENT_MEMORY, add_delta
from aipc.convert.onnx.experts import add_experts
from aipc.convert.onnx.nodes import MICROSOFT, Nodes
from aipc.convert.onnx.operators import Operators, Value, as_model
from aipc.convert.onnx.weights import ExternalWeights
from aipc.convert.parts import Vector


def build_graph(network: Network, weights: ExternalWeights, form: GraphForm) -> Any:
    """A ``ModelProto``: ids and cache in, logits [batch, tokens, vocabulary] and cache out."""
    decoder = _Decoder(network, weights, form, Nodes(form.element))
    decoder.build()
    return as_model(network.model_type, decoder.nodes, weights, *_signature(network, form))


def _signature(network: Network, form: GraphForm) -> tuple[list[Value], list[Value]]:
    """Inputs and outputs with the names that GenAI's decoder expects."""
    element = form.element

    def ids(name: str, length: str) -> Value:
        return name, "i64", ["batch", length]

    def cache(*, is_past: bool) -> list[Value]:
        return [(name, element, shape) for name, shape in _cache(network, is_past=is_past)]

    inputs = [ids("input_ids", "tokens"), ids("attention_mask", "total")]
    if not form.turns_inside:
        inputs.append(ids("position_ids", "tokens"))
    logits = "logits", element, ["batch", "tokens", network.head.rows]
    return inputs + cache(is_past=True), [logits, *cache(is_past=False)]


def _cache(network: Network, *, is_past: bool) -> Iterator[tuple[str, list[Any]]]:
    """Names and shapes of what each block keeps from one call to the next."""
    for index, block in enumerate(network.blocks):
        mixer = block.mixer
        if isinstance(mixer, Attention):
            name, length = (PAST, "past") if is_past else (PRESENT, "total")
            for kind in ("key", "value"):
                yield (
                    name.format(index, kind),
                    ["batch", mixer.kv_heads, length, mixer.head_dim],
                )
            continue
        name, taps = (PAST_TOKENS if is_past else PRESENT_TOKENS), mixer.taps
        yield name.format(index), ["batch", taps.length, taps.shape[-1] - 1]
        if isinstance(mixer, GatedDelta):
            name = PAST_MEMORY if is_past else PRESENT_MEMORY
            shape = ["batch", mixer.value_heads, mixer.key_dim, mixer.value_dim]
            yield name.format(index), shape


@dataclass
class _Decoder:
    network: Network
    weights: ExternalWeights
    form: GraphForm
    nodes: Nodes

    def __post_init__(self) -> None:
        epsilon = self.network.norm_epsilon
        self.operators = Operators(self.nodes, self.weights, self.form, epsilon)

    def build(self) -> None:
        network = self.network
        attention = ONNXAttention(self.operators, network)
        residual, update = self._embed(), ""
        for index, block in enumerate(network.blocks):
            normed, residual = self._norm(residual, update, block.mixer_norm)
            update = self._mix(attention, normed, block.mixer, index)
            update = self._update(update, block.mixer_out_norm)
            normed, residual = self._norm(residual, update, block.feed_forward_norm)
            update = self._update(
                self._feed_forward(normed, block.feed_forward), block.feed_forward_out_norm
            )
        normed, _ = self._norm(residual, update, network.final_norm)
        self._logits(normed)

    def _mix(self, attention: ONNXAttention, value: str, mixer: Mixer, index: int) -> str:
        if isinstance(mixer, ShortConvolution):
            return add_convolution(self.operators, value, mixer, index)
        if isinstance(mixer, GatedDelta):
            return add_delta(self.operators, value, mixer, index)
        return attention.add(value, mixer, index)

    def _embed(self) -> str:
        network, nodes = self.network, self.nodes
        embedded = self.operators.rows(network.embedding, "input_ids", "embedded")
        if network.embedding_scale == 1.0:
            return embedded
        scale = nodes.real(network.embedding_scale)
        return nodes.add("Mul", [embedded, scale], "embedded.scaled")

    def _norm(self, residual: str, update: str, vector: Vector | None) -> tuple[str, str]:
        """The normed sum of residual and update, and the sum itself."""
        nodes, epsilon = self.nodes, self.network.norm_epsilon
        if vector is None:
            total = nodes.add("Add", [residual, update], f"{update}.sum") if update else residual
            return total, total
        if not update:
            return self.operators.norm(residual, vector), residual
        weights = [self.weights.vector(vector.name)]
        if vector.bias is not None:
            weights.append(self.weights.vector(vector.bias.name))
        is_last = vector is self.network.final_norm
        total = "" if is_last else f"{vector.name}.sum"
        normed = nodes.add(
            f"Skip{'Simplified' if vector.bias is None else ''}LayerNormalization",
            [residual, update, *weights],
            f"{vector.name}.normed",
            domain=MICROSOFT,
            more=() if is_last else ("", "", total),
            epsilon=epsilon,
        )
        return normed, total

    def _update(self, update: str, vector: Vector | None) -> str:
        """What attention or feed-forward add to the hidden states."""
        if vector is not None:
            update = self.operators.norm(update, vector)
        if self.network.residual_scale == 1.0:
            return update
        scale = self.nodes.real(self.network.residual_scale)
        return self.nodes.add("Mul", [update, scale], f"{update}.scaled")

    def _logits(self, value: str) -> None:
        network, nodes = self.network, self.nodes
        cap, scale = network.logits_softcap, network.logits_scale
        steps: list[tuple[str, list[str]]] = []
        if network.head_bias is not None:
            steps.append(("Add", [self.weights.vector(network.head_bias.name)]))
        if scale != 1.0:
            steps.append(("Mul", [nodes.real(scale)]))
        if cap is not None:
            steps += [("Mul", [nodes.real(1 / cap)]), ("Tanh", []), ("Mul", [nodes.real(cap)])]
        last = self.operators.product(value, network.head, "logits.product" if steps else "logits")
        for number, (kind, by) in enumerate(steps, 1):
            name = "logits" if number == len(steps) else f"logits.{number}"
            last = nodes.add(kind, [last, *by], name)

    def _feed_forward(self, value: str, one: FeedForward | Experts) -> str:
        if isinstance(one, Experts):
            update = add_experts(self.operators, value, one)
            return update if one.shared is None else self._add_shared(value, one.shared, update)
        width, bias = one.down.columns, one.gate_up_bias
        gate = self.operators.product(value, one.gate_up, rows=range(width), bias=bias)
        up = self.operators.product(value, one.gate_up, rows=range(width, 2 * width), bias=bias)
        active = self.operators.activated(gate, self.network.activation)
        gated = self.nodes.add("Mul", [active, up], f"{one.gate_up.name}.gated")
        return self.operators.product(gated, one.down, bias=one.down_bias)

    def _add_shared(self, value: str, one: SharedExpert, update: str) -> str:
        nodes, made = self.nodes, self._feed_forward(value, one.feed_forward)
        if one.gate is not None:
            gate = self.operators.product(value, one.gate)
            share = nodes.add("Sigmoid", [gate], f"{gate}.share")
            made = nodes.add("Mul", [made, share], f"{made}.weighed")
        return nodes.add("Add", [update, made], f"{made}.sum")
