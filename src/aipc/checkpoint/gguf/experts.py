"""The experts of a GGUF file, stored in stacks, one matrix an expert as of a checkpoint folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from aipc.checkpoint.tensors import (
    Floats,
    Grid,
    GridCodes,
    TensorFile,
    TensorInfo,
    check_rows,
    find_tensor,
)

_STACK = re.compile(r"(.+\.mlp\.experts)\.(gate_proj|up_proj|down_proj)\.(weight|bias)", re.ASCII)


class GgufExperts:
    """A `TensorFile` over one that has the rows of all ``experts`` of a kind in one matrix.

    Biases stay stacks, as in a gpt-oss folder: of gates and ups one, its numbers in turn.
    """

    def __init__(self, weights: TensorFile, experts: int) -> None:
        self._weights = weights
        self._experts = experts
        self.paths = weights.paths
        self._parts: dict[str, tuple[str, int]] = {}
        self._pairs: dict[str, tuple[str, str]] = {}
        self.tensors: Mapping[str, TensorInfo] = dict(self._list())

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """As `TensorFile.rows`."""
        if name in self._pairs:
            gate, up = (self._weights.rows(one, start, stop) for one in self._pairs[name])
            return np.stack([gate, up], axis=-1).reshape(len(gate), -1)
        return self._weights.rows(*self._stored(name, start, stop))

    def grid(self, name: str) -> Grid | None:
        """As `TensorFile.grid`."""
        stored, _ = self._parts.get(name, (name, 0))
        return None if name in self._pairs else self._weights.grid(stored)

    def codes(self, name: str, start: int, stop: int) -> GridCodes:
        """As `TensorFile.codes`."""
        return self._weights.codes(*self._stored(name, start, stop))

    def _stored(self, name: str, start: int, stop: int) -> tuple[str, int, int]:
        """The file's name and rows."""
        check_rows(find_tensor(self.tensors, name), start, stop)
        stored, first = self._parts.get(name, (name, 0))
        return stored, first + start, first + stop

    def _list(self) -> Iterator[tuple[str, TensorInfo]]:
        for stored, info in self._weights.tensors.items():
            match = _STACK.fullmatch(stored)
            if match is None:
                yield stored, info
            elif match[3] == "weight":
                yield from self._unstack(info, match[1], match[2])
            else:
                yield from self._bias(info, match[1], match[2])

    def _unstack(self, info: TensorInfo, place: str, kind: str) -> Iterator[tuple[str, TensorInfo]]:
        height = info.shape[0] // self._experts
        shape, nbytes = (height, *info.shape[1:]), info.nbytes // self._experts
        for expert in range(self._experts):
            name = f"{place}.{expert}.{kind}.weight"
            self._parts[name] = info.name, expert * height
            yield name, TensorInfo(name, info.dtype, shape, nbytes)

    def _bias(self, info: TensorInfo, place: str, kind: str) -> Iterator[tuple[str, TensorInfo]]:
        if kind == "down_proj":
            name = f"{place}.down_proj_bias"
            self._parts[name] = info.name, 0
            yield name, replace(info, name=name)
        elif kind == "gate_proj":
            name, (experts, width) = f"{place}.gate_up_proj_bias", info.shape
            self._pairs[name] = info.name, f"{place}.up_proj.bias"
            yield name, TensorInfo(name, info.dtype, (experts, 2 * width), 2 * info.nbytes)
