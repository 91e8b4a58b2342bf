"""Weights in one safetensors file, or in several with an index, read by rows.

Format: https://github.com/huggingface/safetensors#format.  An unsigned 64-bit length, that many
bytes of JSON (name to dtype, shape and offsets), then the data without holes.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy.typing as npt

from aipc.checkpoint.tensors import (
    BYTE_FLOATS,
    FLOATS,
    Bytes,
    Extent,
    Floats,
    TensorInfo,
    check_disjoint,
    check_rows,
    find_tensor,
    map_bytes,
    to_float32,
)
from aipc.errors import (
    FETCH_AGAIN,
    LFS_POINTER,
    CheckpointError,
    UnsupportedModel,
    damaged,
    misstated,
    pointer,
    quoted,
    unreadable,
)
from aipc.records import LIMIT, parse_object, read_object

_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "I8", "U8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
_NUMPY = {f"{kind}{8 * n}": f"<{kind.lower()}{n}" for kind in "IU" for n in (1, 2, 4, 8)}
_NUMPY |= {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}
"""How a type is read as it is stored; those of 8 bits that are not listed as their bytes."""
INDEX = "model.safetensors.index.json"
_SHARD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors", re.ASCII)
_PLAIN_NAMES = "name each shard by its file's name alone: all of them lie beside the index"
_LENGTH_BYTES = 8
_MOST_AXES = 8
_MOST_ITEMS = 2**48


class SafetensorsFile:
    """One safetensors file; all of its header is checked when it is opened.

    Raises:
        CheckpointError: the file is cut short, or its header contradicts it.
        UnsupportedModel: a tensor of a type that is not in the format's list.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.paths = (path,)
        header, self._data_start, data_size = _read_header(path)
        extents = [_extent(path, name, stated) for name, stated in header.items()]
        check_disjoint(path, extents, data_size, gaps=False)
        self._starts = {extent.name: extent.start for extent in extents}
        self.tensors = {e.name: _info(path, e, header[e.name]) for e in extents}

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """Read rows [start, stop) of the first axis as float32 [stop - start, ...].

        Raises:
            CheckpointError: no such tensor or rows, or the file was cut short meanwhile.
            UnsupportedModel: the tensor holds integers or the like.
        """
        info = find_tensor(self.tensors, name)
        check_rows(info, start, stop)
        if info.dtype not in FLOATS | BYTE_FLOATS:
            raise UnsupportedModel(
                f"tensor {quoted(name)} is of type {info.dtype}",
                f"take a checkpoint in one of {', '.join(sorted(FLOATS | BYTE_FLOATS))}",
            )
        raw = self._bytes(info, start, stop)
        return to_float32(raw, info.dtype).reshape(stop - start, *info.shape[1:])

    def stored(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """As `StoredTensors.stored`; of a scalar the whole, without an axis.

        Raises:
            CheckpointError: no such tensor or rows, or the file was cut short meanwhile.
        """
        info = find_tensor(self.tensors, name)
        kind = _NUMPY.get(info.dtype, "<u1")
        if not info.shape:
            return self._bytes(info, 0, 1).view(kind).reshape(())
        stop = info.shape[0] if stop is None else stop
        check_rows(info, start, stop)
        return self._bytes(info, start, stop).view(kind).reshape(stop - start, *info.shape[1:])

    def _bytes(self, info: TensorInfo, start: int, stop: int) -> Bytes:
        row_bytes = info.nbytes // max(info.shape[0] if info.shape else 1, 1)
        offset = self._data_start + self._starts[info.name] + start * row_bytes
        return map_bytes(self.path, offset, (stop - start) * row_bytes)


class Shards:
    """Several safetensors files, by the ``weight_map`` of an index.

    Raises:
        CheckpointError: a shard is missing or damaged, lacks a tensor that the index lists in it,
            or has a name that is no plain file name.
        UnsupportedModel: a tensor of an unknown type.
    """

    def __init__(self, index: Path) -> None:
        weight_map = _read_weight_map(index)
        self._shards: dict[str, SafetensorsFile] = {}
        for name in sorted(set(weight_map.values())):
            if not index.with_name(name).is_file():
                raise CheckpointError(f"'{name}' is missing beside '{index}'", FETCH_AGAIN)
            self._shards[name] = SafetensorsFile(index.with_name(name))
        self._shard_of = weight_map
        self.paths = (index, *(shard.path for shard in self._shards.values()))
        self.tensors: dict[str, TensorInfo] = {}
        for tensor, name in weight_map.items():
            if tensor not in self._shards[name].tensors:
                raise damaged(index, f"it places {quoted(tensor)} in '{name}', which lacks it")
            self.tensors[tensor] = self._shards[name].tensors[tensor]

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """As `SafetensorsFile.rows`."""
        find_tensor(self.tensors, name)
        return self._shards[self._shard_of[name]].rows(name, start, stop)

    def stored(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """As `SafetensorsFile.stored`."""
        find_tensor(self.tensors, name)
        return self._shards[self._shard_of[name]].stored(name, start, stop)


def _read_header(path: Path) -> tuple[dict[str, Any], int, int]:
    """The header's tensors, the offset of the data, and its size in bytes."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            start = file.read(len(LFS_POINTER))
            if start == LFS_POINTER:
                raise pointer(path)
            file.seek(_LENGTH_BYTES)
            length = _header_length(path, start[:_LENGTH_BYTES], size)
            data = file.read(length)
    except OSError as error:
        raise unreadable(path, error) from error
    header = parse_object(path, data)
    header.pop("__metadata__", None)
    data_start = _LENGTH_BYTES + length
    return header, data_start, size - data_start


def _header_length(path: Path, prefix: bytes, size: int) -> int:
    if len(prefix) < _LENGTH_BYTES:
        raise damaged(path, f"only {size} bytes long")
    length = int.from_bytes(prefix, "little")
    if length > size - _LENGTH_BYTES:
        raise damaged(path, f"its header of {length} bytes does not fit in its {size} bytes")
    if length > LIMIT:
        raise damaged(path, f"its header of {length} bytes is above the limit of {LIMIT}")
    return length


def _extent(path: Path, name: str, stated: Any) -> Extent:
    offsets = _counts(stated.get("data_offsets") if isinstance(stated, dict) else None)
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise damaged(path, f"tensor {quoted(name)} has no usable offsets")
    return Extent(offsets[0], offsets[1], name)


def _info(path: Path, extent: Extent, stated: dict[str, Any]) -> TensorInfo:
    dtype, shape = stated.get("dtype"), _counts(stated.get("shape"))
    nbytes = extent.stop - extent.start
    if shape is None or len(shape) > _MOST_AXES:
        raise damaged(path, f"tensor {quoted(extent.name)} has no usable shape")
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise UnsupportedModel(
            f"tensor {quoted(extent.name)} in '{path}' has the unknown type {quoted(dtype)}",
            f"take a checkpoint in one of {', '.join(sorted(FLOATS))}",
        )
    if math.prod(shape) * _BITS[dtype] != nbytes * 8:
        raise damaged(
            path, f"tensor {quoted(extent.name)}, {dtype} {shape}, does not fill {nbytes} bytes"
        )
    return TensorInfo(extent.name, dtype, shape, nbytes)


def _counts(values: Any) -> tuple[int, ...] | None:
    """Counts of items or bytes as a tuple, None for anything else."""
    if not isinstance(values, list):
        return None
    fit = all(type(value) is int and 0 <= value <= _MOST_ITEMS for value in values)
    return tuple(values) if fit else None


def _read_weight_map(index: Path) -> dict[str, str]:
    weight_map: Any = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise misstated(index, "it has no weight_map", "take the model's own index")
    for name in weight_map.values():
        # a plain name: nothing in a checkpoint may point out of its folder
        if not isinstance(name, str) or not _SHARD_NAME.fullmatch(name):
            raise misstated(index, f"{quoted(name)} is no shard's file name", _PLAIN_NAMES)
    return weight_map
