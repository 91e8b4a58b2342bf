"""What an OpenVINO model is made of, and whether it is of a kind that the NPU computes with.

The NPU's pipeline pads prompts, which only attention leaves out: a convolution or a memory takes
the padding in, and the answer is wrong without any error (2026.4.1, emulated).  Asymmetric 4-bit
weights fail in its compiler after minutes, or make it answer nonsense without any error.  Read from
the graph itself, so a vendor's folder is judged as well as ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from aipc.artifact.files import OPENVINO_MODEL
from aipc.errors import ArtifactError

GROUPS = (128,)
"""Weights that may share a scale, besides a whole row.  Source: docs.openvino.ai, "Run LLMs
with OpenVINO GenAI on NPU": ``--sym --group-size 128`` or ``-1``."""
_OTHER_STATE = b'"cache_params.past.'
"""How the states besides keys and values are named, here and by optimum-intel."""
_FUSED = b'"ScaledDotProductAttention"'
_FOUR_BITS = {"i4", "u4"}


@dataclass(frozen=True)
class Constant:
    """One constant of a graph: ``shape`` in elements, ``kind`` in OpenVINO's words: "i4" …"""

    name: str
    kind: str
    shape: tuple[int, ...]


def keeps_states(artifact: Path) -> bool:
    """Whether some blocks of a model keep a state that is not one of keys and values.

    Raises:
        ArtifactError: there is no such file.
    """
    return _mentions(artifact, _OTHER_STATE)


def has_fused_attention(artifact: Path) -> bool:
    """Whether a model's attention is one operator, which GenAI's pipeline can page.

    Raises:
        ArtifactError: there is no such file.
    """
    return _mentions(artifact, _FUSED)


def _mentions(artifact: Path, name: bytes) -> bool:
    xml = artifact / OPENVINO_MODEL
    try:
        return name in xml.read_bytes()
    except OSError as error:
        raise ArtifactError(f"'{xml}' can't be read ({error})", "convert it again") from error


def check_npu_recipe(artifact: Path) -> None:
    """Refuse a model that the NPU can't run, before it is loaded.

    Raises:
        ArtifactError: why, and the command that makes one it can run, or where it can run.
    """
    if keeps_states(artifact):
        raise ArtifactError(
            f"the NPU can't run '{artifact.name}': some of its blocks convolve or remember, which "
            "GenAI's pipeline there computes wrongly",
            "choose --device cpu or gpu",
        )
    misfit = npu_misfit(four_bit_constants(artifact / OPENVINO_MODEL))
    if misfit:
        raise ArtifactError(
            f"the NPU can't run '{artifact.name}': {misfit}",
            "convert its checkpoint for it: aipc convert MODEL --for npu",
        )


def npu_misfit(constants: list[Constant]) -> str:
    """Why the NPU can't compute with these 4-bit constants; empty when it can."""
    for constant in constants:
        if _is_zero_points(constant):
            return f"its 4-bit weights are asymmetric ({constant.name})"
    for constant in constants:
        grouped = len(constant.shape) == 3 and constant.shape[1] > 1
        if grouped and constant.shape[2] not in GROUPS:
            return f"its group size is {constant.shape[2]} ({constant.name})"
    return ""


def four_bit_constants(xml: Path) -> list[Constant]:
    """The 4-bit constants of a graph.

    Raises:
        ArtifactError: the file is missing or no XML.
    """
    try:
        return [
            Constant(layer.get("name", ""), data.get("element_type", ""), _shape(data))
            for _, layer in ET.iterparse(xml)  # noqa: S314 - it never leaves the disk
            if layer.tag == "layer" and (data := layer.find("data")) is not None
            if data.get("element_type") in _FOUR_BITS and layer.get("type") == "Const"
        ]
    except (OSError, ET.ParseError) as error:
        raise ArtifactError(f"'{xml}' can't be read ({error})", "convert it again") from error


def _is_zero_points(constant: Constant) -> bool:
    """One number a group, or more: a single one is what symmetric u4 weights are stored with."""
    return (
        constant.kind == "u4"
        and bool(constant.shape)
        and constant.shape[-1] == 1
        and math.prod(constant.shape) > 1
    )


def _shape(data: ET.Element) -> tuple[int, ...]:
    return tuple(int(size) for size in data.get("shape", "").split(",") if size.strip())
