"""Weights spread over several safetensors files by a ``model.safetensors.index.json``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from aipc.checkpoint.floats import Floats
from aipc.checkpoint.safetensors import SafetensorsFile
from aipc.checkpoint.tensors import TensorInfo, find_tensor
from aipc.errors import FETCH_AGAIN, CheckpointError, damaged, quoted
from aipc.records import read_object

INDEX = "model.safetensors.index.json"
_SHARD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors", re.ASCII)


class Shards:
    """All the shards that an index names, as one.

    Raises:
        CheckpointError: a shard is missing or damaged, lacks a tensor that the index places in
            it, or has a name that is no plain file name.
        UnsupportedModel: a tensor of an unknown type.
    """

    def __init__(self, index: Path) -> None:
        weight_map = _read_weight_map(index)
        self._shards = {name: _open_shard(index, name) for name in sorted(set(weight_map.values()))}
        self._places = weight_map
        self.paths = (index, *(shard.path for shard in self._shards.values()))
        self.tensors: dict[str, TensorInfo] = {}
        for tensor, name in weight_map.items():
            if tensor not in self._shards[name].tensors:
                raise damaged(index, f"it places {quoted(tensor)} in '{name}', which lacks it")
            self.tensors[tensor] = self._shards[name].tensors[tensor]

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """As `SafetensorsFile.rows`."""
        find_tensor(self.tensors, name)
        return self._shards[self._places[name]].rows(name, start, stop)


def _read_weight_map(index: Path) -> dict[str, str]:
    weight_map: Any = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise damaged(index, "it has no weight_map")
    for name in weight_map.values():
        # a plain name: nothing in a checkpoint may point out of its folder
        if not isinstance(name, str) or not _SHARD_NAME.fullmatch(name):
            raise damaged(index, f"{quoted(name)} is no shard's file name")
    return weight_map


def _open_shard(index: Path, name: str) -> SafetensorsFile:
    path = index.with_name(name)
    if not path.is_file():
        raise CheckpointError(f"'{name}' is missing beside '{index}'", FETCH_AGAIN)
    return SafetensorsFile(path)
