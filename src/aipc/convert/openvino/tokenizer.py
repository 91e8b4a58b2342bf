"""The tokenizer and the detokenizer as OpenVINO models, for the vendor's own tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aipc.artifact.files import (
    OPENVINO_DETOKENIZER,
    OPENVINO_TOKENIZER,
    TOKENIZER,
    TOKENIZER_CONFIG,
)
from aipc.convert.openvino.file import save
from aipc.errors import ConversionError


def write_tokenizer(folder: Path) -> None:
    """Convert the ``tokenizer.json`` in ``folder``; write both models beside it.

    Raises:
        ConversionError: when OpenVINO Tokenizers can't convert this tokenizer.
    """
    from openvino_tokenizers import convert_tokenizer

    try:
        both = convert_tokenizer(_load(folder), with_detokenizer=True)
    except Exception as error:  # the converter raises what it likes
        raise ConversionError(
            "OpenVINO Tokenizers can't convert this model's tokenizer",
            "run with --debug for its reason; the model can't be made an OpenVINO artifact",
        ) from error
    for model, name in zip(both, (OPENVINO_TOKENIZER, OPENVINO_DETOKENIZER), strict=True):
        save(model, folder / name)


def _load(folder: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    config = json.loads((folder / TOKENIZER_CONFIG).read_text("utf-8"))
    special = {
        name: _token(config[name])
        for name in ("bos_token", "eos_token", "unk_token", "pad_token")
        if config.get(name)
    }
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / TOKENIZER),
        clean_up_tokenization_spaces=bool(config.get("clean_up_tokenization_spaces", False)),
        **special,
    )


def _token(declared: Any) -> str:
    return str(declared["content"] if isinstance(declared, dict) else declared)
