"""The text files of a model, tokenizer.json above all, made from a GGUF file's metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.artifact.files import CONFIG, GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG
from aipc.checkpoint.chat_templates import DEFAULT, TOOL_USE, write_chat_templates
from aipc.checkpoint.gguf.byte_level import build_byte_level, find_pre_tokenizer
from aipc.checkpoint.gguf.config import sampling
from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.sentencepiece import build_merged_pieces, build_sentencepiece
from aipc.checkpoint.gguf.vocabulary import (
    CONTROL,
    UNKNOWN,
    USER_DEFINED,
    Vocabulary,
    read_vocabulary,
    special_token,
    stop_ids,
)
from aipc.errors import UnsupportedModel, damaged, quoted
from aipc.records import write_object

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BUILDERS: dict[str, Callable[[Metadata, Vocabulary], Tokenizer]] = {
    "gpt2": build_byte_level,
    "llama": build_sentencepiece,
    "gemma4": build_merged_pieces,
}
_KEEPS_SPACE_AFTER = frozenset({"<unk>", "<s>", "<|endoftext|>"})
_TEMPLATE = "tokenizer.chat_template"
_NAMES = {"bos": "bos", "eos": "eos", "padding": "pad", "unknown": "unk"}
_ID_KEYS = ("bos_token_id", "pad_token_id")


class GgufTexts:
    """The text files that a Hugging Face repository of the model would have beside its weights."""

    paths: tuple[Path, ...] = ()
    """No files of their own: all is in the GGUF file."""

    def __init__(self, metadata: Metadata, config: Mapping[str, Any]) -> None:
        self._metadata = metadata
        self._config = config

    def write(self, target: Path) -> None:
        """Write config, generation config, tokenizer and chat template to ``target``.

        Raises:
            CheckpointError: a vocabulary that contradicts itself.
            UnsupportedModel: an unknown tokenizer.
            OSError: ``target`` can't be written.
        """
        vocabulary = read_vocabulary(self._metadata)
        tokenizer = make_tokenizer(self._metadata, vocabulary)
        write_object(target / CONFIG, self._config)
        generation = {key: self._config[key] for key in _ID_KEYS if key in self._config}
        if stops := stop_ids(self._metadata, vocabulary):
            generation["eos_token_id"] = stops
        write_object(target / GENERATION_CONFIG, {**generation, **sampling(self._metadata)})
        (target / TOKENIZER).write_bytes(tokenizer.to_str().encode("utf-8"))
        write_object(target / TOKENIZER_CONFIG, self._tokenizer_config(vocabulary))
        keys = {DEFAULT: _TEMPLATE, TOOL_USE: f"{_TEMPLATE}.{TOOL_USE}"}
        stated = {name: key for name, key in keys.items() if key in self._metadata}
        templates = {name: self._metadata.text(key) for name, key in stated.items()}
        if DEFAULT in templates:
            write_chat_templates(templates, target)

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


def make_tokenizer(metadata: Metadata, vocabulary: Vocabulary) -> Tokenizer:
    """Build the tokenizer that the file's metadata describes.

    Raises:
        CheckpointError: a vocabulary that contradicts itself.
        UnsupportedModel: an unknown tokenizer model or pre-tokenizer.
    """
    model = metadata.text("tokenizer.ggml.model")
    if model not in _BUILDERS:
        raise UnsupportedModel(
            f"'{metadata.path}' has a tokenizer of the unknown kind {quoted(model)}",
            f"known: {', '.join(_BUILDERS)}; or take the checkpoint folder (safetensors)",
        )
    tokenizer = _BUILDERS[model](metadata, vocabulary)
    # Phi-3 drops white space after a control token.  A GGUF file does not state that; llama.cpp
    # knows it by the model's name.
    add_marked_tokens(
        tokenizer, vocabulary, strips=metadata.architecture == "phi3" and model == "llama"
    )
    begins = model != "gpt2" or find_pre_tokenizer(metadata).begins
    before = _framing(metadata, vocabulary, "bos", default=begins)
    frame(tokenizer, before, _framing(metadata, vocabulary, "eos", default=False))
    return tokenizer


def add_marked_tokens(
    tokenizer: Tokenizer, vocabulary: Vocabulary, *, strips: bool = False
) -> None:
    """Tokens that are found in a text before it is split; control tokens are not text.

    With ``strips`` white space after most control tokens is dropped.
    """
    from tokenizers import AddedToken

    tokenizer.add_special_tokens(
        [
            AddedToken(token, normalized=False, rstrip=strips and token not in _KEEPS_SPACE_AFTER)
            for token in vocabulary.of_kind(UNKNOWN, CONTROL)
        ]
    )
    plain = vocabulary.of_kind(USER_DEFINED)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in plain])


def frame(tokenizer: Tokenizer, before: Sequence[str], after: Sequence[str]) -> None:
    """Put tokens of the vocabulary before and after a text."""
    from tokenizers import processors

    if not before and not after:
        return
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[*before, "$A:0", *after],
        pair=[*before, "$A:0", *after, *(f"{token}:1" for token in before), "$B:1"]
        + [f"{token}:1" for token in after],
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in {*before, *after}],
    )


def _framing(metadata: Metadata, vocabulary: Vocabulary, name: str, *, default: bool) -> list[str]:
    if not metadata.flag(f"tokenizer.ggml.add_{name}_token", default=default):
        return []
    token = special_token(metadata, vocabulary, name)
    if token is None:
        raise damaged(metadata.path, f"it adds a {name} token and names none")
    return [token]
