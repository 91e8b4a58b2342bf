"""Products and norms as ONNX nodes, in the operators that have kernels on every provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aipc.artifact.providers import GraphForm
from aipc.convert.network import Matrix, Vector
from aipc.convert.onnx.nodes import MICROSOFT, Nodes
from aipc.convert.onnx.weights import ExternalWeights


@dataclass(frozen=True)
class Operators:
    """Adds to ``nodes`` what the parts of a graph share."""

    nodes: Nodes
    weights: ExternalWeights
    form: GraphForm
    epsilon: float

    def norm(self, value: str, vector: Vector, name: str = "") -> str:
        """Over the last axis."""
        return self.nodes.add(
            "SimplifiedLayerNormalization",
            [value, self.weights.vector(vector.name)],
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
