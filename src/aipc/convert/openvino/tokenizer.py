"""Tokenizer and detokenizer as OpenVINO models, for the vendor's own tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aipc.artifact.files import (
    OPENVINO_DETOKENIZER,
    OPENVINO_TOKENIZER,
    TOKENIZER,
    TOKENIZER_CONFIG,
)
from aipc.convert.openvino.ir import save
from aipc.errors import ConversionError
from aipc.records import read_object


def write_tokenizer(folder: Path) -> None:
    """Convert the ``tokenizer.json`` in ``folder``; write both models beside it.

    Raises:
        ConversionError: when OpenVINO Tokenizers can't convert this tokenizer.
    """
    from openvino_tokenizers import convert_tokenizer

    try:
        both = convert_tokenizer(_load(folder), with_detokenizer=True)
    except Exception as error:  # the converter raises errors of any kind
        raise ConversionError(
            "OpenVINO Tokenizers can't convert this model's tokenizer",
            "run with --debug for its reason; the model can't be made an OpenVINO artifact",
        ) from error
    for model, name in zip(both, (OPENVINO_TOKENIZER, OPENVINO_DETOKENIZER), strict=True):
        save(model, folder / name)


def _load(folder: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    config = read_object(folder / TOKENIZER_CONFIG)
    stated = {name: config.get(f"{name}_token") for name in ("bos", "eos", "unk", "pad")}
    special = {
        f"{name}_token": str(token["content"] if isinstance(token, dict) else token)
        for name, token in stated.items()
        if token
    }
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / TOKENIZER),
        clean_up_tokenization_spaces=bool(config.get("clean_up_tokenization_spaces", False)),
        **special,
    )
