"""The network as an ONNX graph of ONNX Runtime's own operators; see docs/graph.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aipc.artifact.providers import GraphForm
from aipc.convert.network import Attention, Block, Matrix, Network, Vector
from aipc.convert.onnx.nodes import MICROSOFT, Nodes
from aipc.convert.onnx.weights import ExternalWeights
from aipc.convert.rope import Rope, table_names

IR_VERSION = 10
OPSET = 21
PAST, PRESENT = "past_key_values.{}.{}", "present.{}.{}"


@dataclass(frozen=True)
class _Inputs:
    last: str  # i32 [batch]: index of each sequence's last token
    total: str  # i32 []: tokens of the longest, past and new
    rotations: Mapping[Rope, _Rotation]


@dataclass(frozen=True)
class _Rotation:
    cosine: str  # [positions, dimensions / 2]
    sine: str
    positions: str = ""  # i64 [batch, tokens], where rotary embedding is outside attention
    growth: str = ""  # [batch, tokens, 1], factors of queries that grow


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
        return [
            helper.make_tensor_value_info(
                name.format(index, kind),
                element,
                ["batch", block.attention.kv_heads, length, block.attention.head_dim],
            )
            for index, block in enumerate(network.blocks)
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
            update = self._update(update, block.attention_out_norm)
            normed, residual = self._norm(residual, update, block.feed_forward_norm)
            update = self._update(self._feed_forward(normed, block), block.feed_forward_out_norm)
        normed, _ = self._norm(residual, update, network.final_norm)
        self._logits(normed)

    def _inputs(self) -> _Inputs:
        nodes = self.nodes
        present = nodes.add(
            "ReduceSum", ["attention_mask", nodes.integers(1)], "present", keepdims=0
        )
        last = nodes.cast(nodes.add("Sub", [present, nodes.integers(1)], "last"), "i32")
        shape = nodes.add("Shape", ["attention_mask"], "mask_shape")
        wide = nodes.add("Gather", [shape, nodes.integer(1)], "total", axis=0)
        total = nodes.cast(wide, "i32")
        ropes = enumerate(self.network.ropes)
        rotations = {rope: self._rotation(index, rope, wide) for index, rope in ropes}
        return _Inputs(last, total, rotations)

    def _rotation(self, index: int, rope: Rope, total: str) -> _Rotation:
        cosine, sine = map(self.weights.table, table_names(index))
        if not self.form.turns_inside:
            positions = self._positions(rope.switch)
            return _Rotation(cosine, sine, positions, self._growth(rope))
        if rope.switch is None:
            return _Rotation(cosine, sine)
        return _Rotation(*self._choose_rows(cosine, sine, total, rope.switch))

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

    def _growth(self, rope: Rope) -> str:
        if not rope.growth:
            return ""
        nodes = self.nodes
        steps = nodes.add("Div", ["position_ids", nodes.integer(rope.growth_step)], "steps")
        steps = nodes.add("Add", [steps, nodes.integer(1)], "steps.more")
        logarithm = nodes.add("Log", [nodes.cast(steps, "f32")], "steps.log")
        logarithm = nodes.from_float32(logarithm)
        grown = nodes.add("Mul", [logarithm, nodes.real(rope.growth)], "growth.less")
        grown = nodes.add("Add", [grown, nodes.real(1)], "growth.flat")
        return nodes.add("Unsqueeze", [grown, nodes.integers(-1)], "growth")

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
            return self._simple_norm(residual, vector), residual
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

    def _simple_norm(self, value: str, vector: Vector, name: str = "") -> str:
        """Over the last axis."""
        return self.nodes.add(
            "SimplifiedLayerNormalization",
            [value, self.weights.vector(vector.name)],
            name or f"{vector.name}.normed",
            axis=-1,
            epsilon=self.network.norm_epsilon,
            stash_type=1,
        )

    def _update(self, update: str, vector: Vector | None) -> str:
        """What attention or feed-forward add to the hidden states."""
        if vector is not None:
            update = self._simple_norm(update, vector)
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
        last = self._product(value, network.head, "logits.product" if steps else "logits")
        for number, (kind, by) in enumerate(steps, 1):
            name = "logits" if number == len(steps) else f"logits.{number}"
            last = nodes.add(kind, [last] if by is None else [last, nodes.real(by)], name)

    def _product(
        self,
        value: str,
        matrix: Matrix,
        name: str = "",
        rows: range | None = None,
        bias: Vector | None = None,
    ) -> str:
        """``value`` times (some rows of) a matrix, plus bias, [batch, tokens, rows]."""
        product = self._multiply(value, matrix, name, rows)
        if bias is None:
            return product
        part = self.weights.vector(bias.name, rows)
        return self.nodes.add("Add", [product, part], f"{part}.sum")

    def _multiply(self, value: str, matrix: Matrix, name: str, rows: range | None) -> str:
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
        width, bias = self.network.intermediate, block.gate_up_bias
        gate = self._product(value, block.gate_up, rows=range(width), bias=bias)
        up = self._product(value, block.gate_up, rows=range(width, 2 * width), bias=bias)
        active = self._activate(gate)
        gated = self.nodes.add("Mul", [active, up], f"{block.gate_up.name}.gated")
        return self._product(gated, block.down, bias=block.down_bias)

    def _activate(self, gate: str) -> str:
        if self.network.activation == "gelu_tanh":
            return self.nodes.add("Gelu", [gate], f"{gate}.active", approximate="tanh")
        share = self.nodes.add("Sigmoid", [gate], f"{gate}.share")
        return self.nodes.add("Mul", [gate, share], f"{gate}.active")

    def _attention(self, value: str, block: Block, index: int, inputs: _Inputs) -> str:
        one = block.attention
        rotation = None if one.rope is None else inputs.rotations[one.rope]
        turns_inside = rotation is not None and not rotation.positions
        if (turns_inside or rotation is None) and block.query_norm is None:
            joint = self._product(value, block.query_key_value, bias=block.bias)
            queries = [joint, "", ""]
        else:
            queries = self._parts(value, block, rotation)
        past = [PAST.format(index, kind) for kind in ("key", "value")]
        tables = [rotation.cosine, rotation.sine] if rotation and turns_inside else []
        more: dict[str, Any] = {} if one.softcap is None else {"softcap": one.softcap}
        attended = self.nodes.add(
            "GroupQueryAttention",
            [*queries, *past, inputs.last, inputs.total, *tables],
            f"block.{index}.attention",
            domain=MICROSOFT,
            more=tuple(PRESENT.format(index, kind) for kind in ("key", "value")),
            num_heads=one.heads,
            kv_num_heads=one.kv_heads,
            scale=one.scale,
            local_window_size=one.window or -1,
            do_rotary=int(turns_inside),
            rotary_interleaved=0,
            **more,
        )
        return self._product(attended, block.attention_out, bias=block.attention_out_bias)

    def _parts(self, value: str, block: Block, rotation: _Rotation | None) -> list[str]:
        """Query, key and value, each [batch, tokens, heads * head_dim]."""
        one = block.attention
        counts = (one.heads, one.kv_heads, one.kv_heads)
        norms = (block.query_norm, block.key_norm, None)
        parts, start = [], 0
        for index, (count, norm) in enumerate(zip(counts, norms, strict=True)):
            rows = range(start, start + count * one.head_dim)
            part = self._product(value, block.query_key_value, rows=rows, bias=block.bias)
            if norm is not None:
                part = self._norm_heads(part, norm, len(rows))
            if index < 2 and rotation is not None and rotation.positions:
                part = self._rotate(part, count, one, rotation)
            if index == 0 and rotation is not None and rotation.growth:
                part = self.nodes.add("Mul", [part, rotation.growth], f"{part}.grown")
            parts.append(part)
            start = rows.stop
        return parts

    def _norm_heads(self, part: str, norm: Vector, width: int) -> str:
        """``part`` is ``width`` wide, and normed over as much as the weight is long."""
        if norm.length == width:
            return self._simple_norm(part, norm)
        nodes = self.nodes
        heads = nodes.add("Reshape", [part, nodes.integers(0, -1, norm.length)], f"{part}.heads")
        normed = self._simple_norm(heads, norm)
        shape = nodes.integers(0, -1, width)
        return nodes.add("Reshape", [normed, shape], f"{norm.name}.joined")

    def _rotate(self, part: str, count: int, one: Attention, rotation: _Rotation) -> str:
        """Rotary embedding as a separate node."""
        dimensions = 0 if one.rope is None else one.rope.dimensions
        is_partial = dimensions != one.head_dim
        return self.nodes.add(
            "RotaryEmbedding",
            [part, rotation.positions, rotation.cosine, rotation.sine],
            f"{part}.turned",
            domain=MICROSOFT,
            interleaved=0,
            num_heads=count if is_partial else 0,
            rotary_embedding_dim=dimensions if is_partial else 0,
        )
