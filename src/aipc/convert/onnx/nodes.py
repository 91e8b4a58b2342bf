"""A growing list of ONNX nodes, each named for what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MICROSOFT = "com.microsoft"
ELEMENTS = {"f32": "FLOAT", "f16": "FLOAT16", "i32": "INT32", "i64": "INT64", "bool": "BOOL"}


class Nodes:
    """``element`` is the type of activations, "f32" or "f16"."""

    def __init__(self, element: str) -> None:
        self._element = element
        self._constants: dict[str, Any] = {}
        self.nodes: list[Any] = []

    @property
    def constants(self) -> list[Any]:
        """The small initializers, which hold their content."""
        return list(self._constants.values())

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        name: str,
        *,
        domain: str = "",
        more: tuple[str, ...] = (),
        **attributes: Any,
    ) -> str:
        """Append a node; returns its first output, named alike.  ``more`` names the others."""
        from onnx import helper

        node = helper.make_node(kind, inputs, [name, *more], name, domain=domain, **attributes)
        self.nodes.append(node)
        return name

    def cast(self, value: str, element: str) -> str:
        from onnx import TensorProto

        to = getattr(TensorProto, ELEMENTS[element])
        return self.add("Cast", [value], f"{value}.{element}", to=to)

    def as_activation(self, value: str, stored: str) -> str:
        """A value that is stored in the type ``stored``, in that of activations."""
        return value if self._element == stored else self.cast(value, self._element)

    def from_float32(self, value: str) -> str:
        """In the type of activations."""
        return value if self._element == "f32" else self.cast(value, self._element)

    def as_float32(self, value: str) -> str:
        """A value of the type of activations."""
        return value if self._element == "f32" else self.cast(value, "f32")

    def split(self, value: str, widths: Sequence[int], name: str) -> list[str]:
        """Parts of the last axis of a value with three."""
        parts = [f"{name}.part.{number}" for number in range(len(widths))]
        self.add("Split", [value, self.integers(*widths)], parts[0], more=tuple(parts[1:]), axis=2)
        return parts

    def integer(self, value: int) -> str:
        """A scalar i64 constant."""
        return self._constant(f"int.{value}", "i64", (), [value])

    def integers(self, *values: int) -> str:
        """A vector i64 constant."""
        name = "ints." + ".".join(map(str, values))
        return self._constant(name, "i64", (len(values),), values)

    def real(self, value: float) -> str:
        """A scalar constant of the activations' type."""
        return self._constant(f"real.{value:.9g}", self._element, (), [value])

    def reals(self, value: float, count: int) -> str:
        """A vector constant of the activations' type, all its numbers alike."""
        return self._constant(
            f"reals.{count}.{value:.9g}", self._element, (count,), [value] * count
        )

    def _constant(
        self, name: str, element: str, shape: tuple[int, ...], values: Sequence[float]
    ) -> str:
        from onnx import TensorProto, helper

        if name not in self._constants:
            kind = getattr(TensorProto, ELEMENTS[element])
            self._constants[name] = helper.make_tensor(name, kind, shape, values)
        return name
