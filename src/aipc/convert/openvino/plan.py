"""Convert a checkpoint into a folder that OpenVINO GenAI opens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aipc.artifact.files import OPENVINO_MODEL, OPENVINO_WEIGHTS
from aipc.checkpoint import Checkpoint
from aipc.convert.layout import Layout, lay_out
from aipc.convert.network import Network
from aipc.convert.openvino.ir import write_xml
from aipc.convert.openvino.tokenizer import write_tokenizer
from aipc.convert.openvino.weights import OpenVINOPacking, PlaceholderWeights
from aipc.convert.plan import ConversionPlan
from aipc.convert.recipe import Encoding, Recipe
from aipc.convert.targets import TARGETS, Target
from aipc.errors import ConversionError
from aipc.progress import Progress, silent


class OpenVINOPlan(ConversionPlan):
    packages = ("openvino", "openvino-tokenizers")
    weights_file = OPENVINO_WEIGHTS

    @classmethod
    def check(cls, network: Network, target: Target) -> None:
        if target.name == "npu" and network.is_hybrid:
            raise ConversionError(
                "some of its blocks convolve or remember, which GenAI's pipeline for the NPU "
                "computes wrongly",
                "convert it for cpu or gpu",
            )

    @classmethod
    def lay_out(cls, network: Network, encodings: Mapping[str, Encoding], target: Target) -> Layout:
        del target
        return lay_out(network, encodings, OpenVINOPacking())

    def write_text(self, folder: Path) -> None:
        self.checkpoint.write_text_files(folder)
        write_tokenizer(folder)

    def write_graph(self, folder: Path) -> None:
        from aipc.convert.openvino.graph import build_graph

        placeholders = PlaceholderWeights(self.layout)  # holds the memory of the graph's constants
        graph = build_graph(self.network, placeholders)
        write_xml(graph, self.layout, folder / OPENVINO_MODEL, folder / OPENVINO_WEIGHTS)


def plan_openvino(
    checkpoint: Checkpoint,
    recipe: Recipe,
    target: Target = TARGETS["cpu"],
    progress: Progress = silent,
) -> OpenVINOPlan:
    """As `ConversionPlan.plan`, for the CPU where no target is named."""
    return OpenVINOPlan.plan(checkpoint, recipe, target, progress)
