"""GenAI's tokenizer of an artifact, as its grammar engine should see it.

xgrammar takes every token but the one that ends an answer for the text that it stands for: inside a
string it let "<|endoftext|>" through as thirteen characters (measured, GenAI 2026.4.1), which ends
the answer of a model with several stop ids in the middle of its JSON.  A token without text it
never lets through.  Text is not encoded or decoded by this tokenizer here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

from aipc.artifact.files import OPENVINO_DETOKENIZER, OPENVINO_TOKENIZER

_MODELS = (OPENVINO_TOKENIZER, OPENVINO_DETOKENIZER)
_DECODER = "VocabDecoder"
_BEGINS, _ENDS, _SPECIAL = 1, 2, 4
"""Its inputs: where each token's bytes begin and end, and the ids that it leaves out."""


def masked_tokenizer(artifact: Path) -> Any:
    """`open_tokenizer`'s, for a pipeline; None of a folder without a tokenizer for GenAI."""
    is_there = all((artifact / each).is_file() for each in _MODELS)
    return open_tokenizer(artifact) if is_there else None


def open_tokenizer(artifact: Path) -> Any:
    """An ``openvino_genai.Tokenizer`` in which special tokens have no text.

    Of a detokenizer that is built otherwise it is the one that GenAI makes of the folder.
    """
    import openvino
    import openvino_genai

    models = [artifact / each for each in _MODELS]
    weights = [np.fromfile(each.with_suffix(".bin"), np.uint8) for each in models]
    if not _empty_special(ET.parse(models[1]).getroot(), weights[1]):  # noqa: S314
        return openvino_genai.Tokenizer(artifact)
    parts = zip(models, weights, strict=True)
    arguments = [(each.read_text("utf-8"), openvino.Tensor(data)) for each, data in parts]
    return openvino_genai.Tokenizer(*arguments[0], *arguments[1])


def _empty_special(graph: ET.Element, weights: npt.NDArray[np.uint8]) -> bool:
    """Have special tokens end where they begin; whether ``graph`` has the parts for it."""
    layers = {layer.get("id"): layer for layer in graph.iter("layer")}
    decoder = next((one for one in layers.values() if one.get("type") == _DECODER), None)
    if decoder is None:
        return False
    sources = {
        int(edge.get("to-port", -1)): layers[edge.get("from-layer")]
        for edge in graph.iter("edge")
        if edge.get("to-layer") == decoder.get("id")
    }
    found = [_constant(sources.get(port), weights) for port in (_BEGINS, _ENDS, _SPECIAL)]
    begins, ends, special = found
    if begins is None or ends is None or special is None:
        return False
    ends[special] = begins[special]
    return True


def _constant(
    layer: ET.Element | None, weights: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int32] | None:
    """A view of a constant's i32 numbers; None where the layer is no such constant."""
    data = None if layer is None or layer.get("type") != "Const" else layer.find("data")
    if data is None or data.get("element_type") != "i32":
        return None
    start = int(data.get("offset", 0))
    return weights[start : start + int(data.get("size", 0))].view(np.int32)
