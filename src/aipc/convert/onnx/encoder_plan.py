"""Convert an encoder into a folder that ONNX Runtime opens on every execution provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aipc.artifact.files import ONNX_MODEL, ONNX_WEIGHTS
from aipc.convert.encoders.network import EncoderNetwork
from aipc.convert.layout import Layout, lay_out
from aipc.convert.onnx.encoder_graph import build_encoder
from aipc.convert.onnx.plan import ONNXPlan, check_package, graph_form
from aipc.convert.onnx.weights import ExternalWeights, ONNXPacking
from aipc.convert.plans.encoder_plan import EncoderPlan
from aipc.convert.recipe import GROUP_SIZES, Encoding, dividing_group
from aipc.convert.rope import rope_tables
from aipc.convert.targets import Target

_EIGHT_BIT_BLOCK = 128
"""Texts a second of all-MiniLM-L6-v2 through MatMulNBits, on one core with AVX-512: 23.5, with
blocks of 32 20.4, in float32 17.4; the least cosine with float32's vectors 0.9988 and 0.9995.  A
DynamicQuantizeMatMul makes 36.2, yet rounds all texts of a call by one scale: what it makes of a
text depends on the others, and the cosine is 0.988."""


class ONNXEncoderPlan(EncoderPlan):
    packages = ("onnx",)
    weights_file = ONNX_WEIGHTS
    steps_per_token = ONNXPlan.steps_per_token
    steps_per_block = ONNXPlan.steps_per_block

    @classmethod
    def check(cls, target: Target) -> None:
        del target
        check_package()

    @classmethod
    def fit(
        cls, network: EncoderNetwork, encodings: Mapping[str, Encoding], target: Target
    ) -> Mapping[str, Encoding]:
        """In MatMulNBits' blocks; 16 bits where none divides a width."""
        del target
        widths = {matrix.name: matrix.columns for matrix in network.matrices()}
        return {name: _blocked(one, widths[name]) for name, one in encodings.items()}

    @classmethod
    def lay_out(
        cls, network: EncoderNetwork, encodings: Mapping[str, Encoding], target: Target
    ) -> Layout:
        form = graph_form(target)
        tables = rope_tables(network.ropes, network.context)
        return lay_out(network, encodings, ONNXPacking(form.element, form.whole), tables)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Moreover what the graph computes in."""
        return {**super().facts, "activations": graph_form(self.target).activations[0]}

    def write_graph(self, folder: Path) -> None:
        weights = ExternalWeights(self.layout, ONNX_WEIGHTS)
        graph = build_encoder(self.network, weights, graph_form(self.target))
        (folder / ONNX_MODEL).write_bytes(graph.SerializeToString(deterministic=True))


def _blocked(encoding: Encoding, width: int) -> Encoding:
    if encoding.bits == 16:
        return encoding
    most = _EIGHT_BIT_BLOCK if encoding.bits == 8 else encoding.group
    group = dividing_group(width, most, GROUP_SIZES)
    return replace(encoding, group=group) if group in GROUP_SIZES else Encoding(16)
