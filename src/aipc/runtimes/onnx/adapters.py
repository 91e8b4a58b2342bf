"""LoRA adapters beside the products of a graph that was made without any, chosen row by row.

The artifact stays as it is: its graph is changed in memory, and reads its weights where they are.
Each product that an adapter changes gets two inputs, factors, and what they make of its input is
added to it.  The factors of all adapters lie one below another, so that those of a call are a range
of them, bound where they lie.  Of the ranks in that range a row counts those of its own adapter
alone: rows of several adapters, and of none, are computed in one call.  Where no row has one the
range is empty, and exactly zero is added.

ONNX Runtime's own adapters, which GenAI has too, hold for all rows of a call, and need a graph that
was made with inputs for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.artifact.lora import HEAD_MATRICES, HEAD_PRODUCTS, PRODUCT, Factors
from aipc.errors import ArtifactError, UsageError
from aipc.runtimes.base import MERGE_ADAPTER

WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
"""ONNX Runtime's option that says where the weights of a graph in memory lie."""
_MULTIPLY = frozenset({"MatMul", "MatMulNBits"})
_MICROSOFT = "com.microsoft"
_Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Change:
    """What all adapters change of one node."""

    node: Any
    """``NodeProto``"""
    down: _Array
    """[ranks, columns]"""
    up: _Array
    """[ranks, rows of the product]"""
    bounds: tuple[int, ...]
    """Adapter n has the ranks from bounds[n] to bounds[n + 1]."""

    @property
    def product(self) -> str:
        return str(self.node.name)


class GraphAdapters:
    """Adapters for one graph, by the names that requests choose them by."""

    def __init__(self, file: Path, adapters: Mapping[str, Factors]) -> None:
        """Put them on the graph in ``file``.

        Raises:
            ArtifactError: it has no product by a matrix that one changes.
            UsageError: it computes in float16.
        """
        import onnx

        self.names = tuple(adapters)
        model = onnx.load_model(file, load_external_data=False)
        half = onnx.TensorProto.FLOAT16
        if any(value.type.tensor_type.elem_type == half for value in model.graph.input):
            what = f"the graph in '{file}' computes in fp16, and takes no adapters while it runs"
            raise UsageError(what, MERGE_ADAPTER)
        self._changes = list(_changes(model.graph, file, list(adapters.values())))
        bounds = dict.fromkeys(change.bounds for change in self._changes)
        self._shares = {each: f"adapters.{number}" for number, each in enumerate(bounds)}
        """Ranks of the adapters to the input that says how much each counts in each row."""
        self._add_inputs(model.graph)
        self._add_nodes(model.graph)
        self.model: bytes = model.SerializeToString()
        """The changed graph; its weights are those beside ``file``."""

    def inputs(self, chosen: Sequence[str]) -> Mapping[str, _Array]:
        """What the graph takes to compute rows with these adapters; "" is none."""
        places = [self.names.index(name) if name else -1 for name in chosen]
        used = [place for place in places if place >= 0]
        first, stop = (min(used), max(used) + 1) if used else (0, 0)
        is_own = np.equal.outer(places, np.arange(first, stop))
        found: dict[str, _Array] = {}
        for bounds, share in self._shares.items():
            counts = np.diff(bounds)[first:stop]
            found[share] = np.repeat(is_own, counts, axis=1).astype(np.float32)[:, None]
        for change in self._changes:
            ranks = slice(change.bounds[first], change.bounds[stop])
            found[f"{change.product}.down"] = change.down[ranks]
            found[f"{change.product}.up"] = change.up[ranks]
        return found

    def _add_inputs(self, graph: Any) -> None:
        from onnx import TensorProto, helper

        shapes: dict[str, list[str | int]] = {}
        for share in self._shares.values():  # ONNX Runtime takes sizes of one name for alike
            shapes[share] = ["batch", 1, f"{share}.ranks"]
        for change in self._changes:
            ranks = f"{self._shares[change.bounds]}.ranks"
            for part, array in (("down", change.down), ("up", change.up)):
                shapes[f"{change.product}.{part}"] = [ranks, array.shape[1]]
        for name, shape in shapes.items():
            graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def _add_nodes(self, graph: Any) -> None:
        """After each product that changes, as a graph's nodes stand in their order."""
        changes = {change.product: change for change in self._changes}
        nodes = list(graph.node)
        del graph.node[:]
        for node in nodes:
            graph.node.append(node)
            if node.name in changes:
                change = changes[node.name]
                graph.node.extend(_added(graph.node[-1], self._shares[change.bounds]))


def _added(node: Any, share: str) -> list[Any]:
    """Nodes that give the result of ``node``, which becomes a part of it, under its name."""
    from onnx import helper

    name, result = node.name, node.output[0]
    base, low, own, change = (f"{name}.{part}" for part in ("base", "low", "own", "change"))
    node.output[0] = base
    turned = {"domain": _MICROSOFT, "transB": 1}
    return [
        helper.make_node("FusedMatMul", [node.input[0], f"{name}.down"], [low], low, **turned),
        helper.make_node("Mul", [low, share], [own], own),
        helper.make_node("MatMul", [own, f"{name}.up"], [change], change),
        helper.make_node("Add", [base, change], [result], f"{name}.changed"),
    ]


def _changes(graph: Any, file: Path, adapters: Sequence[Factors]) -> Iterator[_Change]:
    """For each product that one of them changes."""
    products = _products(graph)
    for matrix in dict.fromkeys(name for factors in adapters for name in factors):
        if matrix not in products:
            raise ArtifactError(
                f"the graph in '{file}' has no product by {matrix} that an adapter could change",
                MERGE_ADAPTER,
            )
        starts = sorted(products[matrix])
        height = next(factors[matrix][1].shape[0] for factors in adapters if matrix in factors)
        for start, stop in zip(starts, [*starts[1:], height], strict=True):
            parts = [_part(factors.get(matrix), slice(start, stop)) for factors in adapters]
            found = [part for part in parts if part is not None]
            if found:
                yield _Change(
                    products[matrix][start],
                    np.concatenate([down for down, _ in found]),
                    np.concatenate([up for _, up in found]),
                    tuple(
                        accumulate((0 if one is None else len(one[0]) for one in parts), initial=0)
                    ),
                )


def _part(factors: tuple[_Array, _Array] | None, rows: slice) -> tuple[_Array, _Array] | None:
    """The ranks of an adapter's factors that change these rows of the product."""
    if factors is None:
        return None
    down, up = factors
    counts = up[rows].any(axis=0)
    return (down[counts], up[rows, counts].T) if counts.any() else None


def _products(graph: Any) -> Mapping[str, Mapping[int, Any]]:
    """Matrix to the nodes that multiply by it, each by the first of its rows."""
    found: dict[str, dict[int, Any]] = defaultdict(dict)
    for node in graph.node:
        if node.op_type not in _MULTIPLY:
            continue
        if node.name in HEAD_PRODUCTS:
            for matrix in HEAD_MATRICES:
                found[matrix][0] = node
            continue
        matrix, _, row = node.name.partition(PRODUCT.format(""))
        found[matrix][int(row.removeprefix(".") or 0)] = node
    return found
