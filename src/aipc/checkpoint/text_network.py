"""The text network of a checkpoint folder: its config and its names, out of what wraps them.

A folder may hold a text network beside parts for images or sound, whose config stands inside the
whole one's, and names may begin otherwise than with ``model.``: without it (an export of the base
model), or behind a wrapper's (``language_model.model.``, ``base_model.model.model.``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aipc.checkpoint.tensors import Floats, Grid, GridCodes, TensorFile, TensorInfo
from aipc.errors import CheckpointError, UnsupportedModel, quoted
from aipc.tables import read_table

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
SCORE = "score.weight"
"""What a network that was made to judge texts has in place of a head."""
_TABLE = read_table(__package__, "text_networks.toml")
_PARTS = (
    *("embed_tokens", "layers", "norm"),
    *("embed_tokens_per_layer", "per_layer_model_projection", "per_layer_projection_norm"),
)
"""Of a text network; what else lies beside them in a larger one is not of it."""
_INNER = ("text_config", "llm_config", "language_config")
_OUTER = re.compile(r"\w*(?:vision|audio|speech|image|video|projector|img)\w*|embd_layer", re.ASCII)
"""Members of a config without an inner one that are of the other parts."""
_INHERITED = (
    *("bos_token_id", "eos_token_id", "pad_token_id"),
    *("dtype", "torch_dtype", "quantization_config"),
)
_UNSEEN = (
    *("sliding_window", "attn_logit_softcapping", "final_logit_softcapping"),
    "rope_parameters",
)
"""Members that change what is computed and no tensor's shape: nothing else tells of them."""
_ROTARY = frozenset({"rope_theta", "rope_local_base_freq", "rope_parameters"})
_UNMERGED = (".lora_A.", ".base_layer.", ".lora_embedding_A")
_COMPUTED = re.compile(
    r"(?:.*\.)?(?:rotary_emb\.(?:inv_freq|cos_cached|sin_cached)|masked_bias|position_ids)",
    re.ASCII,
)
"""Buffers that old checkpoints carry, and that are computed from the config."""
_AHEAD = re.compile(r"(?:model\.)?(?:mtp|mtp_layers|medusa_head)\.", re.ASCII)
_LAYER = re.compile(r"model\.layers\.(\d{1,9})\.", re.ASCII)
_OWN_HEAD = (
    "its config ties head and embedding, but lm_head.weight differs from the embedding: the stored"
    " head is used"
)
_COMPARED = 2**22  # numbers at a time


@dataclass(frozen=True)
class TextNetwork:
    """A plain config, and weights by plain names ("model.layers.0…", "lm_head.weight").

    ``notes`` say what was left out or settled on the way, a line each.
    """

    config: dict[str, Any]
    weights: TensorFile
    notes: tuple[str, ...] = ()


def find_text_network(path: Path, config: Mapping[str, Any], weights: TensorFile) -> TextNetwork:
    """The text network of the folder ``path``.

    Raises:
        CheckpointError: two networks that it could be, or a tensor twice.
        UnsupportedModel: a network of several parts that is not known, or adapters not merged.
    """
    if isinstance(config.get("quantization"), dict):
        what = f"'{path}' was quantized for MLX, in a form of its own"
        raise UnsupportedModel(what, "take the model's 16-bit original or a GGUF file of it")
    inner = text_config(path, config)
    plain, outside = _plain_names(path, tuple(weights.tensors))
    notes = []
    is_part = inner.get("model_type") != config.get("model_type")
    if is_part and not any(name.startswith("lm_head.") for name in plain):
        inner.setdefault("tie_word_embeddings", True)
    if inner.get("tie_word_embeddings") is True and EMBEDDING not in plain and HEAD in plain:
        plain[EMBEDDING] = plain.pop(HEAD)  # of two that are one, one is stored
    if not is_part:
        if twice := plain.keys() & set(outside):
            raise CheckpointError(
                f"'{path}' holds {quoted(min(twice))} twice, once behind a wrapper's name",
                "save the network to run in a folder of its own",
            )
        plain |= {name: name for name in outside}
    elif outside:
        notes.append(
            f"tensors for images or sound ({len(outside)}) are left out: aipc runs the text network"
        )
    ahead = [name for name in plain if _guesses_ahead(name, inner)]
    if ahead:
        notes.append(f"tensors that guess tokens ahead ({len(ahead)}) are left out")
    unused = {*ahead, *filter(_COMPUTED.fullmatch, plain)}
    kept = {name: stored for name, stored in plain.items() if name not in unused}
    return TextNetwork(inner, Renamed(weights, kept), tuple(notes))


def text_config(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The text network's config, as its own config.json would have it.

    What an inner config leaves out is the default of its class in transformers; of a plain one only
    what nothing else would tell of.

    Raises:
        UnsupportedModel: a network of several parts that is not known.
    """
    model_type = str(config.get("model_type"))
    wrapper = _TABLE["wrapper"].get(model_type)
    if wrapper is None:
        _refuse_unknown_wrapper(path, model_type, config)
        defaults = _defaults(config)
        return {key: defaults[key] for key in _UNSEEN if key in defaults} | dict(config)
    stated = config.get(wrapper.get("key", "text_config"))
    if isinstance(stated, dict):
        inner = {"model_type": wrapper["text"]} | stated
        inner |= {key: config[key] for key in _INHERITED if key in config and key not in stated}
    else:
        inner = {key: value for key, value in config.items() if not _OUTER.fullmatch(key)}
        inner |= {"model_type": wrapper["text"]}
    if config.get("tie_word_embeddings") is not None:  # the head belongs to the whole
        inner["tie_word_embeddings"] = config["tie_word_embeddings"]
    return _completed(inner)


def _refuse_unknown_wrapper(path: Path, model_type: str, config: Mapping[str, Any]) -> None:
    why = _TABLE["refused"].get(model_type)
    if why is None and any(isinstance(config.get(key), dict) for key in _INNER):
        why = "it is not known here how its text network runs alone"
    if why is not None:
        raise UnsupportedModel(
            f"'{path}' holds a network of several parts, {quoted(model_type)}: {why}",
            "take a text-only model, such as phi-3-mini or llama-3.2-3b",
        )


def _completed(inner: dict[str, Any]) -> dict[str, Any]:
    *_, model_type = _types(inner)
    defaults = _defaults(inner)
    full = {**defaults, **inner, "model_type": model_type}
    if "architectures" in defaults:
        full["architectures"] = defaults["architectures"]
    return {**full, **_positions_of_text(full)}


def _types(config: Mapping[str, Any]) -> Iterator[str]:
    """Its model type, and those that it is the same as but for its defaults."""
    model_type = str(config.get("model_type"))
    yield model_type
    while model_type in _TABLE["same"]:
        model_type = _TABLE["same"][model_type]
        yield model_type


def _defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a config of this type takes for granted; nothing rotary beside ``rope_parameters``."""
    defaults: dict[str, Any] = {}
    for model_type in _types(config):
        defaults = {**_TABLE["defaults"].get(model_type, {}), **defaults}
    if "rope_parameters" in config:
        return {key: value for key, value in defaults.items() if key not in _ROTARY}
    return defaults


def _positions_of_text(config: Mapping[str, Any]) -> dict[str, Any]:
    """The rotary settings without multimodal sections: text has one position on all its axes."""
    changed = {}
    for key in ("rope_scaling", "rope_parameters"):
        stated = config.get(key)
        if isinstance(stated, dict) and "mrope_section" in stated:
            plain = {name: value for name, value in stated.items() if not name.startswith("mrope_")}
            for name in ("type", "rope_type"):
                if plain.get(name) in ("mrope", "axial"):
                    plain[name] = "default"
            changed[key] = plain
    return changed


def _plain_names(path: Path, stored: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """Plain name → stored name of each of the network's tensors, and the names of all others.

    Raises:
        CheckpointError: two places where the network could be.
        UnsupportedModel: adapters that are not merged.
    """
    unmerged = next((name for name in stored if any(sign in name for sign in _UNMERGED)), None)
    if unmerged is not None:
        raise UnsupportedModel(
            f"'{path}' holds adapters that are not merged, such as {quoted(unmerged)}",
            "merge them with peft, model.merge_and_unload().save_pretrained(folder),"
            " and name that folder",
        )
    base = _only(path, _places(stored), "model.")
    steps = base.split(".")
    above = {"".join(f"{step}." for step in steps[:depth]) for depth in range(len(steps))}
    heads = {place for place in above if any(one.startswith(f"{place}lm_head.") for one in stored)}
    head = _only(path, heads, "")
    plain, outside = {}, []
    for name in stored:
        own = _plain_name(name, base, head)
        if own is None:
            outside.append(name)
        else:
            plain[own] = name
    return plain, outside


def _plain_name(name: str, base: str, head: str) -> str | None:
    if name.startswith(f"{head}lm_head."):
        return name.removeprefix(head)
    if not name.startswith(base):
        return None
    inside = name.removeprefix(base)
    part = inside.split(".")[0]
    is_ours = part in _PARTS if not base else part != "visual" and not _OUTER.fullmatch(part)
    return f"model.{inside}" if is_ours else None


def _places(stored: tuple[str, ...]) -> set[str]:
    """What stands before ``embed_tokens`` where ``layers.0`` lies beside it."""
    embeddings = {before for name in stored for before in _before(name, "embed_tokens")}
    return embeddings & {before for name in stored for before in _before(name, "layers.0")}


def _before(name: str, part: str) -> Iterator[str]:
    start, found, _ = f".{name}".partition(f".{part}.")
    if found:
        yield f"{start[1:]}." if start else ""


def _only(path: Path, places: set[str], default: str) -> str:
    if len(places) > 1:
        shown = ", ".join(quoted(place) for place in sorted(places)[:4])
        raise CheckpointError(
            f"'{path}' holds {len(places)} networks, whose names begin with {shown}",
            "save the one to run in a folder of its own",
        )
    return next(iter(places), default)


def _guesses_ahead(name: str, config: Mapping[str, Any]) -> bool:
    """Whether a tensor is of layers for multi-token prediction, which plain decoding leaves out."""
    layers, ahead = config.get("num_hidden_layers"), config.get("num_nextn_predict_layers")
    layer = _LAYER.match(name)
    if layer and type(layers) is int and type(ahead) is int:
        return layers <= int(layer[1]) < layers + ahead
    return _AHEAD.match(name) is not None


class Renamed:
    """A `TensorFile` under other names; ``stored`` has the file's for each, all others are gone."""

    def __init__(self, weights: TensorFile, stored: Mapping[str, str]) -> None:
        self._weights = weights
        self._stored = stored
        self.paths = weights.paths
        self.tensors: Mapping[str, TensorInfo] = {
            name: replace(weights.tensors[own], name=name) for name, own in stored.items()
        }

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """As `TensorFile.rows`."""
        return self._weights.rows(self._stored.get(name, name), start, stop)

    def grid(self, name: str) -> Grid | None:
        """As `TensorFile.grid`."""
        return self._weights.grid(self._stored[name])

    def codes(self, name: str, start: int, stop: int) -> GridCodes:
        """As `TensorFile.codes`."""
        return self._weights.codes(self._stored[name], start, stop)


def settle_head(config: Mapping[str, Any], weights: TensorFile) -> tuple[dict[str, Any], str]:
    """The config that says whether head and embedding are one matrix, and a note or "".

    As transformers 5 does, a stored head that differs from the embedding is used, whatever the
    config says.
    """
    settled, tied = dict(config), config.get("tie_word_embeddings")
    is_both = HEAD in weights.tensors and EMBEDDING in weights.tensors
    if tied is False or not is_both or _are_equal(weights):
        return settled, ""
    settled["tie_word_embeddings"] = False
    return settled, _OWN_HEAD if tied else ""


def _are_equal(weights: TensorFile) -> bool:
    head, embedding = weights.tensors[HEAD], weights.tensors[EMBEDDING]
    if head.shape != embedding.shape or len(head.shape) != 2:
        return False
    step = max(1, _COMPARED // max(1, head.shape[1]))
    for start in range(0, head.shape[0], step):
        stop = min(start + step, head.shape[0])
        one, other = weights.rows(HEAD, start, stop), weights.rows(EMBEDDING, start, stop)
        if one.tobytes() != other.tobytes():
            return False
    return True
