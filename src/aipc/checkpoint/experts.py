"""The tensors of experts, one matrix an expert under the names of transformers' dense layers.

Checkpoints hold experts one by one, or stacked along a first axis, as transformers 5 computes with
them; some by the names of Mixtral's first code, of Granite's or LFM2's.  What is given out is
always ``mlp.experts.3.down_proj.weight`` and ``mlp.router.weight``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy.typing as npt

from aipc.checkpoint.tensors import (
    Floats,
    StoredTensors,
    TensorInfo,
    check_rows,
    find_tensor,
    floats_of,
)

_STACK = re.compile(r"(.+\.mlp\.experts)\.(gate_up_proj|down_proj)(_blocks|_scales|)", re.ASCII)
_INTERLEAVED = frozenset({"gpt_oss"})
"""Model types whose stacks have a gate and an up in turn, and floats by columns."""
_OTHER_NAMES = (
    (re.compile(r"\.block_sparse_moe\.", re.ASCII), ".mlp."),
    (re.compile(r"\.mlp\.input_linear\.weight", re.ASCII), ".mlp.experts.gate_up_proj"),
    (re.compile(r"\.mlp\.output_linear\.weight", re.ASCII), ".mlp.experts.down_proj"),
    (re.compile(r"\.feed_forward\.(?=experts\.|gate\.)", re.ASCII), ".mlp."),
    (re.compile(r"\.feed_forward\.expert_bias", re.ASCII), ".mlp.router.choice_bias"),
    (re.compile(r"\.mlp\.(?:gate|router\.layer)\.", re.ASCII), ".mlp.router."),
    (re.compile(r"(\.mlp\.experts\.\d{1,5})\.w1\.", re.ASCII), r"\1.gate_proj."),
    (re.compile(r"(\.mlp\.experts\.\d{1,5})\.w2\.", re.ASCII), r"\1.down_proj."),
    (re.compile(r"(\.mlp\.experts\.\d{1,5})\.w3\.", re.ASCII), r"\1.up_proj."),
)


@dataclass(frozen=True)
class _Part:
    """Some rows of one expert in a stack; columns are stored first where ``turned``."""

    stack: str
    expert: int
    rows: slice
    turned: bool


class ExpertTensors:
    """`StoredTensors` of a file with experts, each expert's by a name of its own."""

    def __init__(self, file: StoredTensors, model_type: str) -> None:
        self._file = file
        self.paths: tuple[Path, ...] = file.paths
        self._names: dict[str, str] = {}
        self._parts: dict[str, _Part] = {}
        self.tensors: Mapping[str, TensorInfo] = dict(self._list(model_type))

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """As `TensorRows.rows`, with the errors of the file's."""
        part = self._parts.get(name)
        if part is None:
            return self._file.rows(self._names.get(name, name), start, stop)
        check_rows(find_tensor(self.tensors, name), start, stop)
        self._file.rows(part.stack, 0, 0)  # a type that is no float's is refused there
        return floats_of(self.stored(name, start, stop), self.tensors[name].dtype)

    def stored(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """As `StoredTensors.stored`."""
        part = self._parts.get(name)
        if part is None:
            return self._file.stored(self._names.get(name, name), start, stop)
        info = find_tensor(self.tensors, name)
        stop = info.shape[0] if stop is None else stop
        check_rows(info, start, stop)
        whole = self._file.stored(part.stack, part.expert, part.expert + 1)[0]
        rows: npt.NDArray[Any] = whole.T if part.turned else whole
        return rows[part.rows][start:stop]

    def _list(self, model_type: str) -> Iterator[tuple[str, TensorInfo]]:
        for stored, info in self._file.tensors.items():
            name = plain_tensor_name(stored)
            stack = _STACK.fullmatch(name)
            if stack is None or len(info.shape) < 3:
                self._names[name] = stored
                yield name, replace(info, name=name)
            else:
                yield from self._unstack(stored, stack, info, model_type in _INTERLEAVED)

    def _unstack(
        self, stored: str, stack: re.Match[str], info: TensorInfo, interleaved: bool
    ) -> Iterator[tuple[str, TensorInfo]]:
        place, kind, ending = stack.groups()
        turned = interleaved and not ending
        experts, *inner = info.shape
        shape = tuple(reversed(inner)) if turned else tuple(inner)
        half = shape[0] // 2
        kinds = {"down_proj": slice(None)}
        if kind == "gate_up_proj":
            kinds = {"gate_proj": slice(half), "up_proj": slice(half, None)}
            if interleaved:
                kinds = {"gate_proj": slice(0, None, 2), "up_proj": slice(1, None, 2)}
        nbytes = info.nbytes // max(experts, 1) // len(kinds)
        for expert, (one, rows) in product(range(experts), kinds.items()):
            name = f"{place}.{expert}.{one}.weight{ending}"
            self._parts[name] = _Part(stored, expert, rows, turned)
            height = len(range(shape[0])[rows])
            yield name, TensorInfo(name, info.dtype, (height, *shape[1:]), nbytes)


def plain_tensor_name(name: str) -> str:
    """What the tensor is called here, whatever a checkpoint or an adapter calls it."""
    for pattern, plain in _OTHER_NAMES:
        name = pattern.sub(plain, name)
    return name


def unstack_experts(file: StoredTensors, config: Mapping[str, Any]) -> StoredTensors:
    """The file itself where it has no experts."""
    if not any(".experts." in name or ".block_sparse_moe." in name for name in file.tensors):
        return file
    inner = config.get("text_config")
    model_type = (inner if isinstance(inner, Mapping) else config).get("model_type")
    return ExpertTensors(file, str(model_type))
