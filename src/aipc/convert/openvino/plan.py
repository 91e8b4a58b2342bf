"""Convert a checkpoint into a folder that OpenVINO GenAI opens."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from aipc.artifact.files import OPENVINO_WEIGHTS
from aipc.checkpoint import Checkpoint
from aipc.convert.layout import Layout, lay_out
from aipc.convert.network import Network
from aipc.convert.openvino.ir import draft_bytes, write_graph
from aipc.convert.openvino.tokenizer import write_tokenizer
from aipc.convert.openvino.weights import OpenVINOPacking
from aipc.convert.plans.decoder_plan import DecoderPlan
from aipc.convert.recipe import Encoding, Recipe
from aipc.convert.targets import TARGETS, Target
from aipc.errors import ConversionError
from aipc.progress import Progress, silent


class OpenVINOPlan(DecoderPlan):
    packages = ("openvino", "openvino-tokenizers")
    weights_file = OPENVINO_WEIGHTS
    steps_per_token = 240
    steps_per_block = 200_000

    @classmethod
    def check(cls, network: Network, target: Target) -> None:
        if target.name == "npu" and network.is_hybrid:
            raise ConversionError(
                "some of its blocks convolve or remember, which GenAI's pipeline for the NPU "
                "computes wrongly",
                "convert it for cpu or gpu",
            )

        if target.name == "npu" and network.mixtures:
            raise ConversionError(
                "it is a mixture of experts, which nobody saw GenAI's pipeline for the NPU compute "
                "by the active ones alone",
                "convert it for cpu or gpu",
            )

    @classmethod
    def lay_out(cls, network: Network, encodings: Mapping[str, Encoding], target: Target) -> Layout:
        del target
        return lay_out(network, encodings, OpenVINOPacking())

    def write_text(self, folder: Path) -> None:
        self.checkpoint.write_text_files(folder)
        write_tokenizer(folder)

    @property
    def room(self) -> int:
        return self.nbytes + draft_bytes(self.layout)

    def write_graph(self, folder: Path) -> None:
        from aipc.convert.openvino.graph import build_graph

        write_graph(partial(build_graph, self.network), self.layout, folder)


def plan_openvino(
    checkpoint: Checkpoint,
    recipe: Recipe,
    target: Target = TARGETS["cpu"],
    progress: Progress = silent,
) -> OpenVINOPlan:
    """As `DecoderPlan.plan`, for the CPU where no target is named."""
    return OpenVINOPlan.plan(checkpoint, recipe, target, progress)
