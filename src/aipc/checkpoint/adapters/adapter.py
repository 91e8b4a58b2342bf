"""A LoRA adapter on the disk: what it changes of a network, by the network's own names.

A folder that peft wrote: adapter_config.json and adapter_model.safetensors.  A GGUF file is read as
such a folder (`GgufLora`).  Its tensors are called
``base_model.model.MODULE.lora_A.weight``, with the adapter's own name (``default``) before the last
part in some; a module that was trained whole has its plain name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from aipc.artifact.files import ADAPTER, ADAPTER_WEIGHTS
from aipc.checkpoint.adapters.gguf_lora import GgufLora
from aipc.checkpoint.adapters.settings import LoraSettings, read_settings
from aipc.checkpoint.experts import plain_tensor_name
from aipc.checkpoint.safetensors import SafetensorsFile
from aipc.checkpoint.tensors import FLOATS, Floats, StoredTensors, TensorInfo, floats_of
from aipc.errors import (
    CheckpointError,
    UnsafeModel,
    UnsupportedModel,
    damaged,
    quoted,
    unreadable,
)

_WRAPPERS = re.compile(r"(?:(?:base_model|module|model|language_model|text_model)\.)*", re.ASCII)
"""What stands before the names of a text network's parts, however it was wrapped for training."""
_LORA = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_(?:embedding_)?[AB]|lora_magnitude_vector)"
    r"(?:\.(?!weight$|bias$)[\w-]+)?(?P<bias>\.bias)?(?:\.weight)?",
    re.ASCII,
)
_WHOLE = re.compile(
    r"(?P<module>.+?)(?:\.(?:base_layer|modules_to_save(?:\.(?!weight$|bias$)[\w-]+)?))?"
    r"\.(?P<kind>weight|bias)",
    re.ASCII,
)
_FACTORS = ("lora_A", "lora_B")
_OF_EMBEDDING = ("lora_embedding_A", "lora_embedding_B")
_PICKLE = "adapter_model.bin"
_SAVE_SAFELY = "save it with peft's save_pretrained(folder, safe_serialization=True)"
_RANKS = 256
"""Read of a factor at a time, so that a wide one takes no more memory than a chunk of weights."""
_CHECKED = 2**22
"""Numbers looked at at a time."""
_AGAIN = "fetch or convert it again, or take the folder that it was made of"
_ITS_OWN = "take adapter_config.json and adapter_model.safetensors of the same training run"


@dataclass(frozen=True)
class LowRank:
    """A change of a matrix [rows, columns]: ``scale`` times a product of rank ``rank``.

    ``up`` and ``down`` read rows [start, stop) of the factors [rows, rank] and [rank, columns] as
    float32; ``magnitudes`` those of the norms [rows] that the changed rows are given (DoRA).
    """

    shape: tuple[int, int]
    rank: int
    scale: float
    up: Callable[[int, int], Floats]
    down: Callable[[int, int], Floats]
    magnitudes: Callable[[int, int], Floats] | None = None

    def changed(self, weights: Floats, start: int, strength: float) -> Floats:
        """Rows of the matrix from ``start`` on, as changed at ``strength`` (1: as it was trained).

        Method of DoRA: Liu et al. 2024, arXiv 2402.09353, in peft's form.
        """
        stop = start + len(weights)
        up = self.up(start, stop) * np.float32(self.scale * strength)
        changed = weights.copy()
        # what is no number in the end is refused by who encodes it
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for first in range(0, self.rank, _RANKS):
                last = min(first + _RANKS, self.rank)
                changed += up[:, first:last] @ self.down(first, last)
            if self.magnitudes is None:
                return changed
            norms = np.linalg.norm(changed, axis=1)
            decomposed: Floats = (self.magnitudes(start, stop) / norms)[:, None] * changed
            return decomposed


@dataclass(frozen=True)
class Whole:
    """A tensor that stands in place of the base's."""

    shape: tuple[int, ...]
    rows: Callable[[int, int], Floats]
    is_module: bool
    """One that was trained, and no copy of the base's that was saved beside."""


@dataclass(frozen=True)
class Shift:
    """What is added to a vector: ``scale`` times ``values``."""

    shape: tuple[int, ...]
    scale: float
    values: Callable[[], Floats]


@dataclass(frozen=True)
class LoraAdapter:
    """An adapter, opened and checked in itself; each change by the tensor that it is of."""

    path: Path
    base: str
    """What it was trained on, by its maker's name for it; empty where it is not said."""
    paths: tuple[Path, ...]
    low_rank: Mapping[str, LowRank]
    whole: Mapping[str, Whole]
    shifts: Mapping[str, Shift]
    keeps_ties: bool = False
    is_permuted: bool = False
    """Whether rows of queries and keys are as llama.cpp stores them; see `stored_order`."""

    @property
    def tensors(self) -> list[tuple[str, tuple[int, ...]]]:
        """The base's tensors that it changes, and the shapes that they have to have."""
        changes: tuple[Mapping[str, LowRank | Whole | Shift], ...]
        changes = self.low_rank, self.whole, self.shifts
        return [(name, one.shape) for part in changes for name, one in part.items()]


def open_adapter(path: Path) -> LoraAdapter:
    """Open a folder that peft wrote, or a GGUF file, and check all of its numbers.

    Raises:
        CheckpointError: missing, damaged, or parts that contradict one another.
        UnsupportedModel: another kind of adapter, or an option whose effect is not known here.
        UnsafeModel: its weights are a pickle.
    """
    try:
        if path.suffix.lower() == ".gguf":
            lora = GgufLora(path)
            adapter = _Reading(path, lora.settings, lora).adapter()
            return replace(adapter, is_permuted=lora.is_permuted)
        settings = read_settings(path)
        if not (path / ADAPTER_WEIGHTS).is_file():
            raise _no_weights(path)
    except OSError as error:
        raise unreadable(path, error) from error
    file = SafetensorsFile(path / ADAPTER_WEIGHTS)
    return _Reading(path, settings, file).adapter()


def _no_weights(path: Path) -> CheckpointError | UnsafeModel:
    if (path / _PICKLE).is_file():
        what = f"the weights of '{path}' are a pickle ({_PICKLE}), which can run code"
        return UnsafeModel(what, _SAVE_SAFELY)
    return CheckpointError(
        f"'{path}' has {ADAPTER} and no {ADAPTER_WEIGHTS}", "put its weights beside it"
    )


class _Reading:
    """The tensors of one file, sorted into changes."""

    def __init__(self, path: Path, settings: LoraSettings, file: StoredTensors) -> None:
        self._path = path
        self._settings = settings
        self._file = file
        self._parts: dict[str, dict[str, TensorInfo]] = {}
        self._whole: dict[str, Whole] = {}

    def adapter(self) -> LoraAdapter:
        for info in self._file.tensors.values():
            self._sort(info)
        low_rank, shifts = {}, {}
        for module, parts in self._parts.items():
            name, change = self._low_rank(module, parts)
            if name in low_rank:
                raise self._twice(name)
            low_rank[name] = change
            if "bias" in parts:
                shifts[f"{plain_name(module)}.bias"] = self._shift(change, parts["bias"])
        if not (low_rank or self._whole):
            raise self._damaged("its file holds no tensors of an adapter")
        return LoraAdapter(
            self._path,
            self._settings.base,
            tuple(dict.fromkeys((self._settings.path, *self._file.paths))),
            low_rank,
            self._whole,
            shifts,
            self._settings.keeps_ties,
        )

    def _sort(self, info: TensorInfo) -> None:
        if info.dtype not in FLOATS:
            what = f"'{self._path}' holds {quoted(info.name)} in {info.dtype}"
            raise UnsupportedModel(what, f"save it in one of {', '.join(sorted(FLOATS))}")
        if part := _LORA.fullmatch(info.name):
            kind = "bias" if part["bias"] else part["part"]
            parts = self._parts.setdefault(part["module"], {})
            if kind in parts:
                raise self._twice(info.name)
            self._check_numbers(info)
            parts[kind] = info
        elif whole := _WHOLE.fullmatch(info.name):
            module = whole["module"]
            name = f"{plain_name(module)}.{whole['kind']}"
            is_module = self._settings.is_replaced(_trained(module)) or whole["kind"] == "bias"
            rows = partial(self._file.rows, info.name)
            if name in self._whole:
                raise self._twice(name)
            self._whole[name] = Whole(info.shape, rows, is_module)
        else:
            raise UnsupportedModel(
                f"'{self._path}' holds {quoted(info.name)}, which no LoRA has",
                "merge it with the library that made it, and name the merged folder",
            )

    def _low_rank(self, module: str, parts: Mapping[str, TensorInfo]) -> tuple[str, LowRank]:
        is_embedding = any("embedding" in part for part in parts)
        first, second = _OF_EMBEDDING if is_embedding else _FACTORS
        for part in (first, second):
            if part not in parts:
                raise self._damaged(f"{quoted(module)} has no {part}")
            if len(parts[part].shape) != 2:
                raise self._damaged(f"{part} of {quoted(module)} is no matrix")
        a, b = parts[first], parts[second]
        rank = self._settings.rank_of(_trained(module))
        if not a.shape[0] == b.shape[1] == rank:
            raise self._damaged(
                f"{quoted(module)} should be of rank {rank}, and is {list(b.shape)} times "
                f"{list(a.shape)}"
            )
        scale = self._settings.scale_of(_trained(module))
        magnitudes = self._magnitudes(module, parts, b.shape[0], is_embedding=is_embedding)
        name = f"{plain_name(module)}.weight"
        if is_embedding:  # of the embedding the other way round: [rank, tokens], [hidden, rank]
            up, down = (partial(self._columns, one) for one in (a, b))
            return name, LowRank((a.shape[1], b.shape[0]), rank, scale, up, down)
        up, down = partial(self._file.rows, b.name), partial(self._file.rows, a.name)
        return name, LowRank((b.shape[0], a.shape[1]), rank, scale, up, down, magnitudes)

    def _magnitudes(
        self, module: str, parts: Mapping[str, TensorInfo], rows: int, *, is_embedding: bool
    ) -> Callable[[int, int], Floats] | None:
        info = parts.get("lora_magnitude_vector")
        if (info is not None) != self._settings.is_decomposed:
            stated = "use_dora" if info is None else "no use_dora"
            lacks = "no" if info is None else "a"
            what = f"{ADAPTER} has {stated}, and {quoted(module)} has {lacks} magnitude vector"
            raise self._damaged(what)
        if info is None:
            return None
        if is_embedding:
            raise UnsupportedModel(
                f"'{self._path}' is a DoRA of the embedding, which can't be merged here",
                "merge it with peft, and name the merged folder",
            )
        if math.prod(info.shape) != rows or len(info.shape) != 1:
            what = f"the magnitudes of {quoted(module)} are {list(info.shape)}, not [{rows}]"
            raise self._damaged(what)
        return partial(self._file.rows, info.name)

    def _damaged(self, why: str) -> CheckpointError:
        return damaged(self._path, why, _ITS_OWN if self._path.is_dir() else _AGAIN)

    def _twice(self, name: str) -> CheckpointError:
        return self._damaged(f"it changes {quoted(name)} twice")

    def _shift(self, change: LowRank, info: TensorInfo) -> Shift:
        return Shift(info.shape, change.scale, self._all(info))

    def _columns(self, info: TensorInfo, start: int, stop: int) -> Floats:
        """Columns [start, stop) of a matrix, as rows."""
        return floats_of(self._file.stored(info.name)[:, start:stop].T, info.dtype)

    def _all(self, info: TensorInfo) -> Callable[[], Floats]:
        return partial(self._file.rows, info.name, 0, info.shape[0] if info.shape else 1)

    def _check_numbers(self, info: TensorInfo) -> None:
        count = info.shape[0] if info.shape else 0
        height = max(1, _CHECKED // max(1, math.prod(info.shape[1:])))
        for start in range(0, count, height):
            values = self._file.rows(info.name, start, min(start + height, count))
            if not np.isfinite(values).all():
                what = f"{quoted(info.name)} holds values that are no numbers"
                raise damaged(self._path, what, "take another checkpoint of the training run")


def plain_name(module: str) -> str:
    """A module's name as the base's checkpoint has it, out of what wrapped it for training."""
    found = _WRAPPERS.match(module)
    inner = module[found.end() :] if found else module
    if inner == "lm_head":
        return inner
    return plain_tensor_name(f"model.{inner}.").removesuffix(".")


def _trained(module: str) -> str:
    """A module's name in the network that was trained, which patterns are of."""
    return module.removeprefix("base_model.model.")
