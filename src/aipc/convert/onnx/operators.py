"""Products and norms as ONNX nodes, in the operators that have kernels on every provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from aipc.artifact.lora import PRODUCT
from aipc.artifact.providers import GraphForm
from aipc.convert.onnx.nodes import ELEMENTS, MICROSOFT, Nodes
from aipc.convert.onnx.weights import ExternalWeights
from aipc.convert.parts import Matrix, Vector

IR_VERSION = 10
OPSET = 21
Value: TypeAlias = tuple[str, str, list[Any]]
"""Of an input or output its name, element type ("f32", "i64" …) and shape."""


def as_model(
    name: str,
    nodes: Nodes,
    weights: ExternalWeights,
    inputs: Sequence[Value],
    outputs: Sequence[Value],
) -> Any:
    """A ``ModelProto`` of all these."""
    from onnx import TensorProto, helper

    def told(value: Value) -> Any:
        title, element, shape = value
        return helper.make_tensor_value_info(title, getattr(TensorProto, ELEMENTS[element]), shape)

    graph = helper.make_graph(
        nodes.nodes,
        name,
        list(map(told, inputs)),
        list(map(told, outputs)),
        [*nodes.constants, *weights.initializers],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="aipc"
    )


@dataclass(frozen=True)
class Operators:
    """Adds to ``nodes`` what the parts of a graph share."""

    nodes: Nodes
    weights: ExternalWeights
    form: GraphForm
    epsilon: float

    def norm(self, value: str, vector: Vector, name: str = "") -> str:
        """Over the last axis."""
        weights, bias = [self.weights.vector(vector.name)], vector.bias
        if bias is not None:
            weights.append(self.weights.vector(bias.name))
        return self.nodes.add(
            "SimplifiedLayerNormalization" if bias is None else "LayerNormalization",
            [value, *weights],
            name or f"{vector.name}.normed",
            axis=-1,
            epsilon=self.epsilon,
            stash_type=1,
        )

    def norm_heads(self, part: str, vector: Vector, width: int) -> str:
        """``part`` is ``width`` wide, and normed over as much as the weight is long."""
        if vector.length == width:
            return self.norm(part, vector)
        nodes = self.nodes
        heads = nodes.add("Reshape", [part, nodes.integers(0, -1, vector.length)], f"{part}.heads")
        normed = self.norm(heads, vector)
        shape = nodes.integers(0, -1, width)
        return nodes.add("Reshape", [normed, shape], f"{vector.name}.joined")

    def product(
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

    def rows(self, matrix: Matrix, indices: str, name: str) -> str:
        """Some rows of a matrix, in the type of activations: [*indices, columns]."""
        stored, weights = self.weights.stored(matrix), self.weights
        if stored.scale is None:
            table = weights.array(stored.weight)
            found = self.nodes.add("Gather", [table, indices], name, axis=0)
            return self.nodes.as_activation(found, self.form.whole)
        zero = [] if stored.zero is None else [weights.array(stored.zero)]
        return self.nodes.add(
            "GatherBlockQuantized",
            [weights.flat(stored.weight), indices, weights.array(stored.scale), *zero],
            name,
            domain=MICROSOFT,
            bits=stored.encoding.bits,
            block_size=stored.encoding.group,
            gather_axis=0,
            quantize_axis=1,
        )

    def activated(self, value: str, activation: str) -> str:
        """``activation`` is silu, gelu, gelu_tanh, relu or tanh."""
        nodes, name = self.nodes, f"{value}.active"
        if activation == "silu":
            return nodes.add("Mul", [value, nodes.add("Sigmoid", [value], f"{value}.share")], name)
        if activation.startswith("gelu"):
            way = "tanh" if activation == "gelu_tanh" else "none"
            return nodes.add("Gelu", [value], name, approximate=way)
        return nodes.add({"relu": "Relu", "tanh": "Tanh"}[activation], [value], name)

    def _multiply(self, value: str, matrix: Matrix, name: str, rows: range | None) -> str:
        stored, weights = self.weights.stored(matrix), self.weights
        name = name or PRODUCT.format(matrix.name) + (f".{rows.start}" if rows else "")
        codes = weights.array(stored.weight, rows)
        if stored.scale is None:
            whole = self.nodes.as_activation(codes, self.form.whole)
            transposed = self.nodes.add("Transpose", [whole], f"{name}.matrix", perm=[1, 0])
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
