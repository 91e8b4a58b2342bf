"""A base's weights with adapters merged into them, as they are read, some rows at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aipc.checkpoint.adapters.adapter import LoraAdapter, LowRank
from aipc.checkpoint.gguf.weights import stored_order
from aipc.checkpoint.tensors import Floats, Grid, GridCodes, TensorFile, TensorInfo
from aipc.checkpoint.text_network import EMBEDDING, HEAD
from aipc.errors import CheckpointError, UnsupportedModel, quoted

_FAMILIES = ("phi", "llama", "mistral", "qwen", "gemma", "granite", "lfm", "olmo")
"""Words that makers' names for models begin with, and their ``model_type`` too."""
_ROTATED = re.compile(r"\.self_attn\.[qk]_proj\.", re.ASCII)


@dataclass(frozen=True)
class MergedAdapter:
    """``strength`` multiplies what the adapter changes: 1 as it was trained, 0 nothing."""

    adapter: LoraAdapter
    strength: float = 1.0

    @property
    def note(self) -> str:
        """In one line, for who reads of what an artifact was made."""
        times = "" if self.strength == 1 else f", times {self.strength:g}"
        base = f"; it was trained on {self.adapter.base}" if self.adapter.base else ""
        return f"merged: {self.adapter.path.name}{times}{base}"


def fitted(
    adapter: LoraAdapter, path: Path, config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]
) -> LoraAdapter:
    """The adapter with its rows in the order of those of the network in ``path``.

    Raises:
        CheckpointError: naming both.
    """
    whose = f" for {adapter.base}" if adapter.base else ""
    model_type = str(config.get("model_type"))
    fix = f"name the model that it was trained on{': ' + adapter.base if adapter.base else ''}"
    trained = {word for word in _words(adapter.base) if word in _FAMILIES}
    own = {family for family in _FAMILIES if model_type.startswith(family)}
    if len(trained) == 1 and own and own != trained:
        what = f"'{adapter.path}' is an adapter{whose}, and '{path}' is a {model_type}"
        raise CheckpointError(what, fix)
    tied = {HEAD: EMBEDDING} if HEAD not in tensors else {}
    for name, shape in adapter.tensors:
        info = tensors.get(tied.get(name, name))
        if info is None or info.shape != shape:
            has = "none" if info is None else f"one of {list(info.shape)}"
            raise CheckpointError(
                f"'{adapter.path}' is an adapter{whose} that changes {name} {list(shape)}, and "
                f"'{path}' has {has}",
                _resized(name, info, shape) or fix,
            )
    if not adapter.is_permuted:
        return adapter
    low_rank = {
        name: _in_order(name, change, config) if _ROTATED.search(name) else change
        for name, change in adapter.low_rank.items()
    }
    return replace(adapter, low_rank=low_rank, is_permuted=False)


def _in_order(name: str, change: LowRank, config: Mapping[str, Any]) -> LowRank:
    """The same with the rows of each head as a checkpoint has them."""
    rows, heads = change.shape[0], config.get("num_attention_heads")
    heads = config.get("num_key_value_heads", heads) if ".k_proj." in name else heads
    if type(heads) is not int or heads < 1 or rows % (2 * heads):
        raise CheckpointError(
            f"{quoted(heads)} heads do not divide the {rows:,} rows of {name}",
            "take config.json and weights of the same model",
        )
    order = stored_order(np.arange(rows), rows // heads)

    def up(start: int, stop: int) -> Floats:
        return change.up(0, rows)[order[start:stop]]

    return replace(change, up=up)


def _resized(name: str, info: TensorInfo | None, shape: tuple[int, ...]) -> str:
    if name not in {EMBEDDING, HEAD} or info is None or info.shape[1:] != shape[1:]:
        return ""
    return "its training added tokens: merge it with peft, and name the merged folder"


def _words(name: str) -> list[str]:
    """Those of a model's name, without its organization's."""
    return re.split(r"[^a-z]+", name.rpartition("/")[2].lower().replace("ministral", "mistral"))


def _splits(merged: Sequence[MergedAdapter]) -> bool:
    """Whether one of head and embedding is changed alone, so that they are one matrix no more.

    That is what peft computes, which adds to the products: neither sees the change of the other.
    """
    return any(
        name in one.adapter.low_rank or (name in whole and whole[name].is_module)
        for one in merged
        if not one.adapter.keeps_ties
        for whole in (one.adapter.whole,)
        for name in (EMBEDDING, HEAD)
    )


class MergedWeights:
    """A `TensorFile`: ``weights`` with adapters merged in their order.

    A matrix that is changed is on no grid any more.
    """

    def __init__(self, weights: TensorFile, merged: Sequence[MergedAdapter]) -> None:
        self._weights = weights
        self._merged = merged
        self.paths = weights.paths
        self.tensors = dict(weights.tensors)
        self._stored = {name: name for name in self.tensors}
        if HEAD not in self.tensors and _splits(merged):
            self.tensors[HEAD] = replace(self.tensors[EMBEDDING], name=HEAD)
            self._stored[HEAD] = EMBEDDING
        self._changed = {name for one in merged for name, _ in one.adapter.tensors}

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """As `TensorFile.rows`."""
        values = self._weights.rows(self._stored.get(name, name), start, stop)
        for one in self._merged if name in self._changed else ():
            values = _changed(one, name, values, start, stop)
        return values

    def grid(self, name: str) -> Grid | None:
        """As `TensorFile.grid`."""
        return None if name in self._changed else self._weights.grid(self._stored[name])

    def codes(self, name: str, start: int, stop: int) -> GridCodes:
        """As `TensorFile.codes`."""
        return self._weights.codes(self._stored[name], start, stop)


def _changed(one: MergedAdapter, name: str, values: Floats, start: int, stop: int) -> Floats:
    adapter = one.adapter
    if name in adapter.whole:
        values = adapter.whole[name].rows(start, stop)
    if name in adapter.low_rank:
        values = adapter.low_rank[name].changed(values, start, one.strength)
    if name in adapter.shifts:
        shift = adapter.shifts[name]
        values = values + shift.scale * one.strength * shift.values()[start:stop]
    return values


def merge(
    path: Path, config: Mapping[str, Any], weights: TensorFile, merged: Sequence[MergedAdapter]
) -> tuple[dict[str, Any], TensorFile]:
    """The config and the weights of the network in ``path``, with adapters merged if there are any.

    Raises:
        CheckpointError: an adapter of another network.
        UnsupportedModel: a part that was trained whole, to be merged by halves.
    """
    merged = [
        replace(one, adapter=fitted(one.adapter, path, config, weights.tensors)) for one in merged
    ]
    for one in merged:
        if one.strength != 1 and any(whole.is_module for whole in one.adapter.whole.values()):
            raise UnsupportedModel(
                f"'{one.adapter.path}' has modules that were trained whole, which have no scale",
                "leave its scale out",
            )
    if not merged:
        return dict(config), weights
    settled = {**config, "tie_word_embeddings": False} if _splits(merged) else dict(config)
    return settled, MergedWeights(weights, merged)
