"""A model that reads texts and writes none: what it gives of them, and how its files say so.

The files are sentence-transformers', beside a checkpoint's weights or an artifact's graph
(https://sbert.net/docs/package_reference/sentence_transformer).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from aipc.artifact.config import read_config
from aipc.artifact.files import CONFIG, OPENVINO_MODEL, TOKENIZER_CONFIG, whole_text_output
from aipc.artifact.sentence_modules import (
    Modules,
    module_files,
    part_of,
    read_modules,
    read_object,
    token_scores,
)
from aipc.errors import ArtifactError, UsageError, quoted

Task: TypeAlias = Literal["embeddings", "scores"]
"""What a model makes of texts: vectors of each, or a score of a query and a document."""

PROMPTS = "config_sentence_transformers.json"
CLASSIFIER = "ForSequenceClassification"
"""What the names of transformers' classes end in that give a text, or a pair of them, scores."""
_OUTPUT = b'"last_hidden_state"'
_LOGITS = b'"logits"'
_STATE = b'"beam_idx"'
_LENGTHS = "sentence_*_config.json"
_EMBEDS = "SentenceTransformer"
_UNSTATED = 1_000_000  # what transformers writes for "no limit" is far beyond
_COUNTED_FROM_PADDING = frozenset({"roberta", "xlm-roberta", "camembert"})
_QUERY = ("query",)
_DOCUMENT = ("document", "passage", "corpus")
"""Names of prompts that sentence-transformers takes for a text of the kind, the best first."""


def task_of(folder: Path) -> Task | None:
    """What the graph in ``folder`` makes of texts; None: it writes text, or is none."""
    graph = folder / OPENVINO_MODEL
    output = _openvino_output(graph) if graph.is_file() else whole_text_output(folder)
    if output == "logits":
        scores = is_classifier(read_config(folder)) or token_scores(folder) is not None
        return "scores" if scores else None
    return "embeddings" if output else None


def _openvino_output(graph: Path) -> str:
    """As `whole_text_output` of an ONNX graph."""
    text = graph.read_bytes()
    if _LOGITS not in text:
        return "last_hidden_state" if _OUTPUT in text else ""
    return "" if _STATE in text else "logits"


def is_classifier(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of a network whose head gives a text scores."""
    stated = config.get("architectures")
    names = stated if isinstance(stated, list) else ()
    return any(str(name).endswith(CLASSIFIER) for name in names)


def first_position(config: Mapping[str, Any]) -> int:
    """The row of the first token's position: RoBERTa's kin count from behind the padding's id.

    Raises:
        ArtifactError: it is no id.
    """
    padding = config.get("pad_token_id", 1)
    if str(config.get("model_type")) not in _COUNTED_FROM_PADDING:
        return 0
    if type(padding) is not int:
        what = f"pad_token_id is {quoted(padding)} in the model's {CONFIG}"
        raise ArtifactError(what, "take the model's own file")
    return padding + 1


def settings_files(folder: Path) -> list[Path]:
    """Of sentence-transformers in ``folder``: modules, their settings and weights, prompts."""
    lengths = sorted(folder.glob(_LENGTHS))
    return [*module_files(folder), *(one for one in (folder / PROMPTS, *lengths) if one.is_file())]


@dataclass(frozen=True)
class SentenceModel:
    """How the vectors of a text's tokens become one, and what stands before a text."""

    modules: Modules
    longest: int | None
    """Tokens of a text; None where no file states it."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """By their names, as "query": what the model needs before a text of that kind."""
    default_prompt: str = ""
    """The name of the one before texts of which nothing is said; empty: none."""
    lowercase: bool = False
    """Whether texts are put in small letters before the tokenizer gets them."""

    @property
    def prefix(self) -> str:
        """What stands before a text of which nothing is said."""
        return self.prompts.get(self.default_prompt, "")

    def prompt(self, name: str | None) -> str:
        """What stands before a text of that kind.

        "query" and "document" are understood of every model, as sentence-transformers does: the
        second is also called "passage" or "corpus", and a model without one takes texts as they
        are.  None is the default.

        Raises:
            UsageError: any other name that the model does not state.
        """
        if name is None:
            return self.prefix
        if name in self.prompts:
            return self.prompts[name]
        for kind in (_QUERY, _DOCUMENT):
            if name in kind:
                return next((self.prompts[each] for each in kind if each in self.prompts), "")
        known = ", ".join(self.prompts) or "none"
        raise UsageError(f"the model has no prompt {quoted(name)}", f"it has: {known}")


def read_sentence_model(folder: Path) -> SentenceModel:
    """By the files of ``folder``; without them as `read_modules` has it.

    Raises:
        ArtifactError: a file is damaged, or asks for what is not known here.
    """
    stated = read_object(folder / PROMPTS)
    if stated.get("model_type", _EMBEDS) != _EMBEDS:
        raise ArtifactError(
            f"'{folder}' is a {quoted(stated['model_type'])} of sentence-transformers, which is not"
            " known here",
            "take one that makes a vector of each text, or scores by a classifier",
        )
    return SentenceModel(
        read_modules(folder),
        longest_text(folder),
        {str(name): str(text) for name, text in part_of(stated, "prompts").items()},
        str(stated.get("default_prompt_name") or ""),
        bool(_read_settings(folder).get("do_lower_case")),
    )


def longest_text(folder: Path) -> int | None:
    """Tokens of a text, or of a pair of them, by the files of ``folder``; None: none states it."""
    config = read_object(folder / CONFIG)
    positions = config.get("max_position_embeddings")
    lengths = [
        _read_settings(folder).get("max_seq_length"),
        read_object(folder / TOKENIZER_CONFIG).get("model_max_length"),
        positions - first_position(config) if isinstance(positions, int) else None,
    ]
    known = [int(one) for one in lengths if isinstance(one, int | float) and 0 < one < _UNSTATED]
    return min(known, default=None)


def keeps_logits(folder: Path) -> bool:
    """Whether scores are given as the network has them, and not through a sigmoid.

    As sentence-transformers' CrossEncoder reads its own file, or config.json.

    Raises:
        ArtifactError: it asks for another function.
    """
    config = read_object(folder / CONFIG)
    stated = read_object(folder / PROMPTS).get("activation_fn")
    older = part_of(config, "sentence_transformers").get("activation_fn")
    oldest = config.get("sbert_ce_default_activation_function")
    name = str(stated or older or oldest or "Sigmoid")
    kind = name.rpartition(".")[2]
    if kind not in {"Sigmoid", "Identity"}:
        raise ArtifactError(
            f"'{folder}' asks for scores through {quoted(name)}",
            "Sigmoid and Identity are known here",
        )
    return kind == "Identity"


def pair_settings(folder: Path) -> tuple[str, bool]:
    """What stands before a query and a document as the system's message; "" for nothing.

    And whether the model's turn begins behind them.
    """
    prompts = read_object(folder / PROMPTS)
    name = str(prompts.get("default_prompt_name") or "")
    system = part_of(prompts, "prompts").get(name, "")
    given = part_of(part_of(_read_settings(folder), "processing_kwargs"), "chat_template")
    return str(system), bool(given.get("add_generation_prompt"))


def _read_settings(folder: Path) -> Mapping[str, Any]:
    """The transformer module's own: sentence_bert_config.json, by one of several names."""
    found = sorted(folder.glob(_LENGTHS))
    return read_object(found[0]) if found else {}
