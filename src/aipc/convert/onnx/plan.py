"""Convert a checkpoint into a folder that ONNX Runtime GenAI opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from aipc.artifact.files import ONNX_MODEL, ONNX_WEIGHTS
from aipc.artifact.providers import GRAPH_FORMS, GraphForm
from aipc.checkpoint import Checkpoint
from aipc.convert.layout import Layout, lay_out
from aipc.convert.network import Network
from aipc.convert.onnx.genai_config import adapt_tokenizer, write_genai_config
from aipc.convert.onnx.graph import build_graph
from aipc.convert.onnx.weights import ExternalWeights, ONNXPacking, blocked
from aipc.convert.plan import ConversionPlan
from aipc.convert.recipe import Encoding, Recipe
from aipc.convert.rope import rope_tables
from aipc.convert.targets import Target, find_target
from aipc.errors import ConversionError
from aipc.progress import Progress, silent

HEAD_MULTIPLE = 16
"""GroupQueryAttention refuses other head sizes, and tables that are not half of one wide."""


class ONNXPlan(ConversionPlan):
    packages = ("onnx",)
    weights_file = ONNX_WEIGHTS

    @classmethod
    def check(cls, network: Network, target: Target) -> None:
        if target.name == "directml" and network.is_hybrid:
            raise ConversionError(
                "some of its blocks convolve or remember, which DirectML has no operators for",
                "convert it for cpu, or with --runtime openvino for gpu",
            )
        shapes = {(one.kv_heads, one.head_dim) for one in network.attentions}
        norms_values = any(one.norms_values for one in network.attentions)
        if network.token_inputs is not None or network.shared or norms_values or len(shapes) > 1:
            raise ConversionError(
                f"a {network.model_type} of this kind is not written for ONNX Runtime: its layers "
                "have caches of different shapes, or share them",
                "convert it with --runtime openvino",
            )
        for one in network.attentions:
            if one.head_dim % HEAD_MULTIPLE:
                raise ConversionError(
                    f"its heads are {one.head_dim} wide, ONNX Runtime's attention takes only "
                    f"multiples of {HEAD_MULTIPLE}",
                    "convert it with --runtime openvino",
                )

    @classmethod
    def fit(cls, network: Network, encodings: Mapping[str, Encoding]) -> Mapping[str, Encoding]:
        return blocked(network, encodings)

    @classmethod
    def lay_out(cls, network: Network, encodings: Mapping[str, Encoding], target: Target) -> Layout:
        packing = ONNXPacking(GRAPH_FORMS[target.name].element)
        tables = rope_tables(network.ropes, network.context)
        return lay_out(network, encodings, packing, tables)

    @property
    def provider(self) -> GraphForm:
        """The target's; rotary embedding is outside attention where it has to be."""
        own = GRAPH_FORMS[self.target.name]
        ropes = self.network.ropes
        fits = all(one.dimensions % HEAD_MULTIPLE == 0 and not one.growth for one in ropes)
        return replace(own, turns_inside=own.turns_inside and fits)

    def write_text(self, folder: Path) -> None:
        self.checkpoint.write_text_files(folder)
        adapt_tokenizer(folder)

    def write_graph(self, folder: Path) -> None:
        write_genai_config(folder, ONNX_MODEL, self.network, self.provider)
        weights = ExternalWeights(self.layout, ONNX_WEIGHTS)
        graph = build_graph(self.network, weights, self.provider)
        (folder / ONNX_MODEL).write_bytes(graph.SerializeToString(deterministic=True))


def plan_onnx(
    checkpoint: Checkpoint,
    recipe: Recipe,
    target: Target | None = None,
    progress: Progress = silent,
) -> ONNXPlan:
    """As `ConversionPlan.plan`, for the CPU where no target is named.

    Raises:
        ConversionError: moreover, where the package onnx is missing.
    """
    if find_spec("onnx") is None:
        raise ConversionError(
            "writing for ONNX Runtime needs the package onnx", "`pip install onnx`"
        )
    return ONNXPlan.plan(checkpoint, recipe, target or find_target("cpu", "onnx"), progress)
