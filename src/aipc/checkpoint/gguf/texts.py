"""The text files of a model, made from a GGUF file's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aipc.artifact.files import (
    CHAT_TEMPLATE,
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
)
from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.tokenizer import make_tokenizer
from aipc.checkpoint.gguf.vocabulary import Vocabulary, read_vocabulary, special_token, stop_ids
from aipc.records import write_object

_TEMPLATE = "tokenizer.chat_template"
_NAMES = {"bos": "bos", "eos": "eos", "padding": "pad", "unknown": "unk"}
_ID_KEYS = ("bos_token_id", "pad_token_id")


class GgufTexts:
    """What a Hugging Face repository of the model would have beside its weights."""

    paths: tuple[Path, ...] = ()
    """None of their own: all is in the GGUF file."""

    def __init__(self, metadata: Metadata, config: Mapping[str, Any]) -> None:
        self._metadata = metadata
        self._config = config

    def write(self, target: Path) -> None:
        """Write config, generation config, tokenizer and chat template to ``target``.

        Raises:
            CheckpointError: a vocabulary that contradicts itself.
            UnsupportedModel: a tokenizer that is not known here.
            OSError: ``target`` can't be written.
        """
        vocabulary = read_vocabulary(self._metadata)
        tokenizer = make_tokenizer(self._metadata, vocabulary)
        write_object(target / CONFIG, self._config)
        write_object(target / GENERATION_CONFIG, self._generation_config(vocabulary))
        (target / TOKENIZER).write_bytes(tokenizer.to_str().encode("utf-8"))
        write_object(target / TOKENIZER_CONFIG, self._tokenizer_config(vocabulary))
        if _TEMPLATE in self._metadata:
            template = self._metadata.text(_TEMPLATE)
            (target / CHAT_TEMPLATE).write_bytes(template.encode("utf-8"))

    def _generation_config(self, vocabulary: Vocabulary) -> dict[str, Any]:
        ids = {key: self._config[key] for key in _ID_KEYS if key in self._config}
        stops = stop_ids(self._metadata, vocabulary)
        return {**ids, "eos_token_id": stops} if stops else ids

    def _tokenizer_config(self, vocabulary: Vocabulary) -> dict[str, Any]:
        named = {
            f"{name}_token": special_token(self._metadata, vocabulary, key)
            for key, name in _NAMES.items()
        }
        template = {"chat_template": self._metadata.text(_TEMPLATE, "")}
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **{name: token for name, token in named.items() if token is not None},
            "clean_up_tokenization_spaces": False,
            "model_max_length": self._config["max_position_embeddings"],
            **(template if _TEMPLATE in self._metadata else {}),
        }
