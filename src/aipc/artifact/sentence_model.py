"""A folder with a model that makes one vector of a text: how it is recognized, its settings.

The files are those of sentence-transformers, beside the graph that optimum-intel writes for the
task feature-extraction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from aipc.artifact.files import CONFIG, OPENVINO_MODEL, TOKENIZER_CONFIG
from aipc.errors import ArtifactError

Pooling: TypeAlias = Literal["cls", "mean", "last"]

POOLING = "1_Pooling/config.json"
_OUTPUT = b'"last_hidden_state"'
_SCORES = b'"logits"'
_MODES: Mapping[str, Pooling] = {"cls_token": "cls", "mean_tokens": "mean", "lasttoken": "last"}
_LENGTHS = (
    ("sentence_bert_config.json", "max_seq_length"),
    (TOKENIZER_CONFIG, "model_max_length"),
    (CONFIG, "max_position_embeddings"),
)
_UNSTATED = 1_000_000  # what transformers writes for "no limit" is far beyond


def makes_embeddings(folder: Path) -> bool:
    """Whether the graph in ``folder`` gives hidden states, and no scores of a next token."""
    graph = folder / OPENVINO_MODEL
    if not graph.is_file():
        return False
    text = graph.read_bytes()
    return _OUTPUT in text and _SCORES not in text


@dataclass(frozen=True)
class SentenceModel:
    """How the vectors of a text's tokens become one."""

    pooling: Pooling
    """The first token's vector, the mean of all, or the last token's."""
    normalized: bool
    """Whether its length is made 1."""
    longest: int | None
    """Tokens of a text; None where no file states it."""
    prefix: str = ""
    """The text that the model needs before each text."""
    note: str = ""
    """A warning for the user about these; may be empty."""


def read_sentence_model(folder: Path) -> SentenceModel:
    """By the files of ``folder``; without them the mean, of length 1, and a note of that.

    Raises:
        ArtifactError: a file is damaged, or names a pooling that is not known here.
    """
    stated = _read(folder / POOLING)
    modules = _read(folder / "modules.json")
    lengths = [(_read(folder / file) or {}).get(name) for file, name in _LENGTHS]
    config = _read(folder / "config_sentence_transformers.json") or {}
    default = config.get("default_prompt_name")
    note = f"'{folder.name}' has no {POOLING}: the mean of a text's tokens is taken"
    return SentenceModel(
        _pooling(stated, folder) if stated else "mean",
        not modules or any(each["type"].endswith(".Normalize") for each in modules),
        min((one for one in lengths if one is not None and one < _UNSTATED), default=None),
        str(config["prompts"][default]) if default else "",
        "" if stated else note,
    )


def _pooling(stated: Mapping[str, Any], folder: Path) -> Pooling:
    mark = "pooling_mode_"
    modes = [name.removeprefix(mark) for name, on in stated.items() if name[:13] == mark and on]
    if len(modes) != 1 or modes[0] not in _MODES:
        raise ArtifactError(
            f"'{folder / POOLING}' asks for {' and '.join(modes) or 'no pooling'}",
            f"one of {', '.join(_MODES)} can be had here",
        )
    return _MODES[modes[0]]


def _read(file: Path) -> Any:
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ArtifactError(f"'{file}' is damaged: {error}", "export the model again") from error
