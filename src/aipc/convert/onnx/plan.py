"""Convert a checkpoint into a folder that ONNX Runtime GenAI opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aipc import remedies
from aipc.artifact.files import ONNX_MODEL, ONNX_WEIGHTS
from aipc.artifact.providers import GRAPH_FORMS, GraphForm
from aipc.checkpoint import Checkpoint
from aipc.convert.layout import Layout, lay_out
from aipc.convert.network import Network
from aipc.convert.onnx.experts import ACTIVATION, join_experts
from aipc.convert.onnx.genai_config import adapt_tokenizer, write_genai_config
from aipc.convert.onnx.graph import build_graph
from aipc.convert.onnx.weights import (
    SMALL_BLOCK,
    ExternalWeights,
    ONNXPacking,
    blocked,
    exact_matrices,
)
from aipc.convert.plans.decoder_plan import DecoderPlan
from aipc.convert.recipe import Encoding, Recipe
from aipc.convert.rope import rope_tables
from aipc.convert.targets import Target, find_target
from aipc.errors import ConversionError
from aipc.progress import Progress, silent

HEAD_MULTIPLE = 16
"""GroupQueryAttention refuses other head sizes, and tables that are not half of one wide."""


class ONNXPlan(DecoderPlan):
    packages = ("onnx",)
    weights_file = ONNX_WEIGHTS
    steps_per_token = 90
    steps_per_block = 15_000

    @classmethod
    def arrange(cls, network: Network) -> Network:
        return join_experts(network)

    @classmethod
    def check(cls, network: Network, target: Target) -> None:
        if target.name == "directml" and network.is_hybrid:
            raise ConversionError(
                "some of its blocks convolve or remember, which DirectML has no operators for",
                "convert it for cpu, or with --runtime openvino for gpu",
            )
        _check_experts(network, target)
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
    def fit(
        cls, network: Network, encodings: Mapping[str, Encoding], target: Target
    ) -> Mapping[str, Encoding]:
        rounds = GRAPH_FORMS[target.name].accuracy_level is not None
        return blocked(network, encodings, rounds_activations=rounds)

    @classmethod
    def lay_out(cls, network: Network, encodings: Mapping[str, Encoding], target: Target) -> Layout:
        form = graph_form(target)
        packing = ONNXPacking(form.element, form.whole)
        tables = rope_tables(network.ropes, network.context)
        return lay_out(network, encodings, packing, tables)

    @property
    def notes(self) -> tuple[str, ...]:
        exact = exact_matrices(self.network)
        whole = (one.matrix for one in self.layout.matrices.values() if one.encoding.bits == 16)
        is_exact = any(one.name in exact and one.columns % SMALL_BLOCK == 0 for one in whole)
        if self.recipe.weight_format == "fp16" or not is_exact:
            return super().notes
        return (*super().notes, "16 bits for query, key and value: a small model needs it")

    @property
    def provider(self) -> GraphForm:
        """The target's; rotary embedding is outside attention where it has to be."""
        own = graph_form(self.target)
        ropes = self.network.ropes
        fits = all(one.dimensions % HEAD_MULTIPLE == 0 and not one.growth for one in ropes)
        return replace(own, turns_inside=own.turns_inside and fits)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Moreover what the graph computes in."""
        return {**super().facts, "activations": self.provider.activations[0]}

    def write_text(self, folder: Path) -> None:
        self.checkpoint.write_text_files(folder)
        adapt_tokenizer(folder)

    def write_graph(self, folder: Path) -> None:
        write_genai_config(folder, ONNX_MODEL, self.network, self.provider)
        weights = ExternalWeights(self.layout, ONNX_WEIGHTS)
        graph = build_graph(self.network, weights, self.provider)
        (folder / ONNX_MODEL).write_bytes(graph.SerializeToString(deterministic=True))


def _check_experts(network: Network, target: Target) -> None:
    if not network.mixtures:
        return
    if GRAPH_FORMS[target.name].experts is None:
        raise ConversionError(
            f"a {network.model_type} is a mixture of experts, for which ONNX Runtime has no right "
            f"operators on {target.name}",
            "convert it for cpu, or with --runtime openvino for gpu",
        )
    if network.activation != ACTIVATION:
        raise ConversionError(
            f"its experts have the activation {network.activation}, and ONNX Runtime's a gated "
            f"{ACTIVATION} alone",
            "convert it with --runtime openvino",
        )


def graph_form(target: Target) -> GraphForm:
    """The form of graph that the target's provider needs."""
    return GRAPH_FORMS[target.name].computing_in(target.activations)


def plan_onnx(
    checkpoint: Checkpoint,
    recipe: Recipe,
    target: Target | None = None,
    progress: Progress = silent,
) -> ONNXPlan:
    """As `DecoderPlan.plan`, for the CPU where no target is named.

    Raises:
        ConversionError: moreover, where the package onnx is missing.
    """
    check_package()
    return ONNXPlan.plan(checkpoint, recipe, target or find_target("cpu", "onnx"), progress)


def check_package() -> None:
    """Refuse to write for ONNX Runtime without the package that does it.

    Raises:
        ConversionError: it is not installed.
    """
    if find_spec("onnx") is None:
        raise ConversionError(
            "writing for ONNX Runtime needs the package onnx", remedies.put_own("onnx")
        )
