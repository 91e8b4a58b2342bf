"""The network as an ONNX graph of ONNX Runtime's own operators; see docs/graph.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aipc.artifact.providers import GraphForm
from aipc.convert.network import (
    Attention,
    Block,
    GatedDelta,
    Mixer,
    Network,
    ShortConvolution,
    Vector,
)
from aipc.convert.onnx.attention import PAST, PRESENT, ONNXAttention
from aipc.convert.onnx.convolution import PAST_TOKENS, PRESENT_TOKENS, add_convolution
from aipc.convert.onnx.delta import PAST_MEMORY, PRESENT_MEMORY, add_delta
from aipc.convert.onnx.nodes import MICROSOFT, Nodes
from aipc.convert.onnx.operators import Operators
from aipc.convert.onnx.weights import ExternalWeights

IR_VERSION = 10
OPSET = 21


def build_graph(network: Network, weights: ExternalWeights, form: GraphForm) -> Any:
    """A ``ModelProto``: ids and cache in, logits [batch, tokens, vocabulary] and cache out."""
    from onnx import helper

    decoder = _Decoder(network, weights, form, Nodes(form.element))
    decoder.build()
    inputs, outputs = _signature(network, form)
    graph = helper.make_graph(
        decoder.nodes.nodes,
        network.model_type,
        inputs,
        outputs,
        [*decoder.nodes.constants, *weights.initializers],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="aipc"
    )


def _signature(network: Network, form: GraphForm) -> tuple[list[Any], list[Any]]:
    """Inputs and outputs with the names that GenAI's decoder expects."""
    from onnx import TensorProto, helper

    element = TensorProto.FLOAT if form.element == "f32" else TensorProto.FLOAT16

    def ids(name: str, length: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", length])

    def cache(names: Iterator[tuple[str, list[Any]]]) -> list[Any]:
        return [helper.make_tensor_value_info(name, element, shape) for name, shape in names]

    inputs = [ids("input_ids", "tokens"), ids("attention_mask", "total")]
    if not form.turns_inside:
        inputs.append(ids("position_ids", "tokens"))
    shape = ["batch", "tokens", network.head.rows]
    logits = helper.make_tensor_value_info("logits", element, shape)
    past, present = _cache(network, is_past=True), _cache(network, is_past=False)
    return inputs + cache(past), [logits, *cache(present)]


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
            update = self._update(self._feed_forward(normed, block), block.feed_forward_out_norm)
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
        stored = self.weights.stored(network.embedding)
        if stored.scale is None:
            table = self.weights.array(stored.weight)
            embedded = nodes.add("Gather", [table, "input_ids"], "embedded", axis=0)
            embedded = nodes.as_activation(embedded)
        else:
            zero = [] if stored.zero is None else [self.weights.array(stored.zero)]
            embedded = nodes.add(
                "GatherBlockQuantized",
                [self.weights.flat(stored.weight), "input_ids",
                 self.weights.array(stored.scale), *zero],
                "embedded",
                domain=MICROSOFT,
                bits=stored.encoding.bits,
                block_size=stored.encoding.group,
                gather_axis=0,
                quantize_axis=1,
            )  # fmt: skip
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
        weight = self.weights.vector(vector.name)
        if not update:
            return self.operators.norm(residual, vector), residual
        is_last = vector is self.network.final_norm
        total = "" if is_last else f"{vector.name}.sum"
        normed = nodes.add(
            "SkipSimplifiedLayerNormalization",
            [residual, update, weight],
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
        steps: list[tuple[str, float | None]] = []
        if scale != 1.0:
            steps.append(("Mul", scale))
        if cap is not None:
            steps += [("Mul", 1 / cap), ("Tanh", None), ("Mul", cap)]
        last = self.operators.product(value, network.head, "logits.product" if steps else "logits")
        for number, (kind, by) in enumerate(steps, 1):
            name = "logits" if number == len(steps) else f"logits.{number}"
            last = nodes.add(kind, [last] if by is None else [last, nodes.real(by)], name)

    def _feed_forward(self, value: str, block: Block) -> str:
        width, bias = block.down.columns, block.gate_up_bias
        gate = self.operators.product(value, block.gate_up, rows=range(width), bias=bias)
        up = self.operators.product(value, block.gate_up, rows=range(width, 2 * width), bias=bias)
        active = self._activate(gate)
        gated = self.nodes.add("Mul", [active, up], f"{block.gate_up.name}.gated")
        return self.operators.product(gated, block.down, bias=block.down_bias)

    def _activate(self, gate: str) -> str:
        if self.network.activation == "gelu_tanh":
            return self.nodes.add("Gelu", [gate], f"{gate}.active", approximate="tanh")
        share = self.nodes.add("Sigmoid", [gate], f"{gate}.share")
        return self.nodes.add("Mul", [gate, share], f"{gate}.active")
