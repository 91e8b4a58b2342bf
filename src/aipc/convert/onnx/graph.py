"""The network as an ONNX graph of ONNX Runtime's own operators; see docs/graph.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aipc.artifact.providers import GraphForm
from aipc.convert.network import Block, Matrix, Network, Vector
from aipc.convert.onnx.nodes import MICROSOFT, Nodes
from aipc.convert.onnx.weights import ExternalWeights

IR_VERSION = 10
OPSET = 21
PAST, PRESENT = "past_key_values.{}.{}", "present.{}.{}"


@dataclass(frozen=True)
class _Inputs:
    last: str  # i32 [batch]: index of each sequence's last token
    total: str  # i32 []: tokens of the longest, past and new
    cosine: str  # [positions, dimensions / 2]
    sine: str
    positions: str = ""  # i64 [batch, tokens], where rotary embedding is outside attention


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

    def cache(name: str, length: str) -> list[Any]:
        shape = ["batch", network.kv_heads, length, network.head_dim]
        return [
            helper.make_tensor_value_info(name.format(index, kind), element, shape)
            for index in range(len(network.blocks))
            for kind in ("key", "value")
        ]

    inputs = [ids("input_ids", "tokens"), ids("attention_mask", "total")]
    if not form.turns_inside:
        inputs.append(ids("position_ids", "tokens"))
    shape = ["batch", "tokens", network.head.rows]
    logits = helper.make_tensor_value_info("logits", element, shape)
    return inputs + cache(PAST, "past"), [logits, *cache(PRESENT, "total")]


@dataclass
class _Decoder:
    network: Network
    weights: ExternalWeights
    form: GraphForm
    nodes: Nodes

    def build(self) -> None:
        network = self.network
        inputs = self._inputs()
        residual, update = self._embed(), ""
        for index, block in enumerate(network.blocks):
            normed, residual = self._norm(residual, update, block.attention_norm)
            update = self._attention(normed, block, index, inputs)
            normed, residual = self._norm(residual, update, block.feed_forward_norm)
            update = self._feed_forward(normed, block)
        normed, _ = self._norm(residual, update, network.final_norm)
        self._product(normed, network.head, "logits")

    def _inputs(self) -> _Inputs:
        nodes = self.nodes
        present = nodes.add(
            "ReduceSum", ["attention_mask", nodes.integers(1)], "present", keepdims=0
        )
        last = nodes.cast(nodes.add("Sub", [present, nodes.integers(1)], "last"), "i32")
        shape = nodes.add("Shape", ["attention_mask"], "mask_shape")
        wide = nodes.add("Gather", [shape, nodes.integer(1)], "total", axis=0)
        total = nodes.cast(wide, "i32")
        cosine, sine = self.weights.table("cosine"), self.weights.table("sine")
        switch = self.network.rope.switch
        if not self.form.turns_inside:
            return _Inputs(last, total, cosine, sine, self._positions(switch))
        if switch is not None:
            cosine, sine = self._choose_rows(cosine, sine, wide, switch)
        return _Inputs(last, total, cosine, sine)

    def _choose_rows(self, cosine: str, sine: str, total: str, switch: int) -> tuple[str, str]:
        """Table rows for a sequence of ``total`` tokens: the long frequencies' past the switch."""
        nodes = self.nodes
        is_long = nodes.cast(nodes.add("Greater", [total, nodes.integer(switch)], "is_long"), "i64")
        start = nodes.add("Mul", [is_long, nodes.integers(switch)], "first_row")
        stop = nodes.add("Add", [start, total], "past_row")
        rows = [start, stop, nodes.integers(0)]
        return (
            nodes.add("Slice", [cosine, *rows], "cosine_rows"),
            nodes.add("Slice", [sine, *rows], "sine_rows"),
        )

    def _positions(self, switch: int | None) -> str:
        """Rows of the tables: the long frequencies' once a position is past the switch."""
        nodes = self.nodes
        if switch is None:
            return "position_ids"
        last = nodes.add("ReduceMax", ["position_ids"], "last_position", keepdims=0)
        is_long = nodes.add("GreaterOrEqual", [last, nodes.integer(switch)], "is_long")
        moved = nodes.add("Mul", [nodes.cast(is_long, "i64"), nodes.integer(switch)], "first_row")
        return nodes.add("Add", ["position_ids", moved], "rows")

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

    def _norm(self, residual: str, update: str, vector: Vector) -> tuple[str, str]:
        """The normed sum of residual and update, and the sum itself."""
        nodes, epsilon = self.nodes, self.network.norm_epsilon
        weight = self.weights.vector(vector.name)
        if not update:
            normed = nodes.add(
                "SimplifiedLayerNormalization",
                [residual, weight],
                f"{vector.name}.normed",
                axis=-1,
                epsilon=epsilon,
                stash_type=1,
            )
            return normed, residual
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

    def _product(
        self, value: str, matrix: Matrix, name: str = "", rows: range | None = None
    ) -> str:
        """``value`` times (some rows of) a matrix, [batch, tokens, rows]."""
        stored, weights = self.weights.stored(matrix), self.weights
        name = name or f"{matrix.name}.product" + (f".{rows.start}" if rows else "")
        codes = weights.array(stored.weight, rows)
        if stored.scale is None:
            transposed = self.nodes.add(
                "Transpose", [self.nodes.as_activation(codes)], f"{name}.matrix", perm=[1, 0]
            )
            return self.nodes.add("MatMul", [value, transposed], name)
        zero = [] if stored.zero is None else [weights.array(stored.zero, rows)]
        level = self.form.accuracy_level
        accuracy: dict[str, Any] = {} if level is None else {"accuracy_level": level}
        return self.nodes.add(
            "MatMulNBits",
            [value, codes, weights.array(stored.scale, rows), *zero],
            name,
            domain=MICROSOFT,
            K=matrix.columns,
            N=len(rows) if rows else matrix.rows,
            bits=stored.encoding.bits,
            block_size=stored.encoding.group,
            **accuracy,
        )

    def _feed_forward(self, value: str, block: Block) -> str:
        width = self.network.intermediate
        gate = self._product(value, block.gate_up, rows=range(width))
        up = self._product(value, block.gate_up, rows=range(width, 2 * width))
        active = self._activate(gate)
        gated = self.nodes.add("Mul", [active, up], f"{block.gate_up.name}.gated")
        return self._product(gated, block.down)

    def _activate(self, gate: str) -> str:
        if self.network.activation == "gelu_tanh":
            return self.nodes.add("Gelu", [gate], f"{gate}.active", approximate="tanh")
        share = self.nodes.add("Sigmoid", [gate], f"{gate}.share")
        return self.nodes.add("Mul", [gate, share], f"{gate}.active")

    def _attention(self, value: str, block: Block, index: int, inputs: _Inputs) -> str:
        network, form = self.network, self.form
        if form.turns_inside and block.query_norm is None:
            queries = [self._query_key_value(value, block), "", ""]
        else:
            queries = self._parts(value, block, inputs)
        past = [PAST.format(index, kind) for kind in ("key", "value")]
        tables = [inputs.cosine, inputs.sine] if form.turns_inside else []
        attended = self.nodes.add(
            "GroupQueryAttention",
            [*queries, *past, inputs.last, inputs.total, *tables],
            f"block.{index}.attention",
            domain=MICROSOFT,
            more=tuple(PRESENT.format(index, kind) for kind in ("key", "value")),
            num_heads=network.heads,
            kv_num_heads=network.kv_heads,
            scale=network.head_dim**-0.5,
            local_window_size=network.window or -1,
            do_rotary=int(form.turns_inside),
            rotary_interleaved=0,
        )
        return self._product(attended, block.attention_out)

    def _parts(self, value: str, block: Block, inputs: _Inputs) -> list[str]:
        """Query, key and value, each [batch, tokens, heads * head_dim]."""
        network = self.network
        counts = (network.heads, network.kv_heads, network.kv_heads)
        norms = (block.query_norm, block.key_norm, None)
        parts, start = [], 0
        for index, (count, norm) in enumerate(zip(counts, norms, strict=True)):
            rows = range(start, start + count * network.head_dim)
            part = self._query_key_value(value, block, rows)
            if norm is not None:
                part = self._norm_heads(part, norm, count)
            if index < 2 and inputs.positions:
                part = self._rotate(part, count, inputs)
            parts.append(part)
            start = rows.stop
        return parts

    def _query_key_value(self, value: str, block: Block, rows: range | None = None) -> str:
        """All rows of the joint product, or some of them, plus bias."""
        part = self._product(value, block.query_key_value, rows=rows)
        if block.bias is None:
            return part
        bias = self.weights.vector(block.bias.name, rows)
        return self.nodes.add("Add", [part, bias], f"{bias}.sum")

    def _norm_heads(self, part: str, norm: Vector, count: int) -> str:
        nodes, head_dim = self.nodes, self.network.head_dim
        heads = nodes.add("Reshape", [part, nodes.integers(0, -1, head_dim)], f"{part}.heads")
        normed = nodes.add(
            "SimplifiedLayerNormalization",
            [heads, self.weights.vector(norm.name)],
            f"{norm.name}.normed",
            axis=-1,
            epsilon=self.network.norm_epsilon,
            stash_type=1,
        )
        shape = nodes.integers(0, -1, count * head_dim)
        return nodes.add("Reshape", [normed, shape], f"{norm.name}.joined")

    def _rotate(self, part: str, count: int, inputs: _Inputs) -> str:
        """Rotary embedding as a separate node."""
        network = self.network
        is_partial = network.rope.dimensions != network.head_dim
        return self.nodes.add(
            "RotaryEmbedding",
            [part, inputs.positions, inputs.cosine, inputs.sine],
            f"{part}.turned",
            domain=MICROSOFT,
            interleaved=0,
            num_heads=count if is_partial else 0,
            rotary_embedding_dim=network.rope.dimensions if is_partial else 0,
        )
