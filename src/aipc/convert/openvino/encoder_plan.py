"""Convert an encoder into a folder that OpenVINO GenAI's embedding and rerank pipelines open."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from aipc.artifact.files import OPENVINO_WEIGHTS
from aipc.artifact.sentence_model import longest_text
from aipc.convert.encoders.network import EncoderNetwork
from aipc.convert.layout import Layout, lay_out
from aipc.convert.openvino.ir import draft_bytes, write_graph
from aipc.convert.openvino.plan import OpenVINOPlan
from aipc.convert.openvino.tokenizer import WholeTexts, write_tokenizer
from aipc.convert.openvino.weights import OpenVINOPacking
from aipc.convert.plans.encoder_plan import EncoderPlan
from aipc.convert.recipe import Encoding
from aipc.convert.targets import Target
from aipc.errors import ConversionError

_TARGETS = ("cpu", "gpu")


class OpenVINOEncoderPlan(EncoderPlan):
    packages = ("openvino", "openvino-tokenizers")
    weights_file = OPENVINO_WEIGHTS
    steps_per_token = OpenVINOPlan.steps_per_token
    steps_per_block = OpenVINOPlan.steps_per_block

    @classmethod
    def check(cls, target: Target) -> None:
        check_target(target)

    @classmethod
    def lay_out(
        cls, network: EncoderNetwork, encodings: Mapping[str, Encoding], target: Target
    ) -> Layout:
        del target
        return lay_out(network, encodings, OpenVINOPacking())

    @property
    def room(self) -> int:
        return self.nbytes + draft_bytes(self.layout)

    def write_text(self, folder: Path) -> None:
        self.checkpoint.write_text_files(folder)
        network = self.network
        write_whole_texts(folder, network.context, has_types=network.tells_types)

    def write_graph(self, folder: Path) -> None:
        from aipc.convert.openvino.encoder_graph import build_encoder

        write_graph(partial(build_encoder, self.network), self.layout, folder)


def write_whole_texts(folder: Path, context: int, *, has_types: bool) -> None:
    """Write the tokenizer's models of a network that reads whole texts, beside its text files.

    ``context`` is its longest text, in tokens, where no file states one; ``has_types`` as
    `WholeTexts` has it.

    Raises:
        ConversionError: a tokenizer that can't be converted.
        OSError: the disk is full.
    """
    write_tokenizer(folder, WholeTexts(longest_text(folder) or context, has_types))


def check_target(target: Target) -> None:
    """Refuse what runs no model that reads whole texts.

    Raises:
        ConversionError: it is not OpenVINO's CPU or GPU.
    """
    if target.runtime != "openvino" or target.name not in _TARGETS:
        raise ConversionError(
            f"models of this kind, which read whole texts, are not converted for {target.name} with"
            f" {target.runtime}",
            f"give --for {' or '.join(_TARGETS)}, and --runtime openvino",
        )
