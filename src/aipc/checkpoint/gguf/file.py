"""Tensors in one GGUF file, as stored there, dequantized some rows at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.checkpoint.gguf.header import GgufHeader, GgufTensor, read_header
from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.tensors import (
    FLOATS,
    Bytes,
    Extent,
    Floats,
    TensorInfo,
    check_disjoint,
    map_bytes,
    to_float32,
)
from aipc.errors import UnsupportedModel, damaged, quoted

QUANTIZED = frozenset(
    {
        *("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"),
        *("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
        *("IQ4_NL", "IQ4_XS"),
    }
)
"""Block formats that are turned into floats, by gguf.quants."""
_DEFAULT_ALIGNMENT = 32
_MOST_ALIGNMENT = 2**20
_MOST_ITEMS = 2**48


class GgufFile:
    """One GGUF file; its structure is checked when it is opened.

    Raises:
        CheckpointError: cut short, or a header that contradicts itself or the file's size.
        UnsupportedModel: one part of a split file, or a tensor type unknown to ggml.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        header = read_header(path)
        self.metadata = Metadata(path, header.values)
        _refuse_split(self.metadata)
        self._data_start = _data_start(self.metadata, header)
        self.tensors = {tensor.name: _info(path, tensor) for tensor in header.tensors}
        self._offsets = {tensor.name: tensor.offset for tensor in header.tensors}
        self._check_places(header)

    def take(self, name: str, order: npt.NDArray[np.int64]) -> Floats:
        """Read rows of the first axis, in any order, as float32 [len(order), ...].

        Raises:
            CheckpointError: the file was cut short since it was opened.
            UnsupportedModel: a type that can't be turned into floats.
        """
        info = self.tensors[name]
        _check_readable(self.path, info)
        if not order.size:
            return np.empty((0, *info.shape[1:]), np.float32)
        first, last = int(order.min()), int(order.max())
        row_bytes = info.nbytes // info.shape[0]
        offset = self._data_start + self._offsets[name] + first * row_bytes
        window = map_bytes(self.path, offset, (last + 1 - first) * row_bytes)
        raw = window.reshape(-1, row_bytes)[order - first]
        return _dequantize(raw, info.dtype).reshape(len(order), *info.shape[1:])

    def take_all(self, name: str) -> Floats:
        """A whole tensor, float32."""
        return self.take(name, np.arange(self.tensors[name].shape[0]))

    def _check_places(self, header: GgufHeader) -> None:
        if len(self.tensors) < len(header.tensors):
            raise damaged(self.path, "a tensor stands in its list twice")
        extents = [
            Extent(start, start + self.tensors[name].nbytes, name)
            for name, start in self._offsets.items()
        ]
        # alignment leaves holes between tensors
        check_disjoint(self.path, extents, header.file_size - self._data_start, gaps=True)


def _refuse_split(metadata: Metadata) -> None:
    parts = metadata.integer("split.count", 1)
    if parts > 1:
        raise UnsupportedModel(
            f"'{metadata.path}' is one of {parts} parts of a model",
            "join them with llama.cpp's 'llama-gguf-split --merge'",
        )


def _data_start(metadata: Metadata, header: GgufHeader) -> int:
    alignment = metadata.size("general.alignment", _DEFAULT_ALIGNMENT)
    if alignment & (alignment - 1) or alignment > _MOST_ALIGNMENT:
        raise damaged(metadata.path, f"it states an alignment of {alignment} bytes")
    start = -(-header.stop // alignment) * alignment
    for tensor in header.tensors:
        if tensor.offset % alignment:
            raise damaged(metadata.path, f"tensor {quoted(tensor.name)} is not aligned")
    return start


def _info(path: Path, tensor: GgufTensor) -> TensorInfo:
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        kind = GGMLQuantizationType(tensor.kind)
        block, block_bytes = GGML_QUANT_SIZES[kind]
    except (ValueError, KeyError) as error:
        what = f"tensor {quoted(tensor.name)} in '{path}' is of the unknown type {tensor.kind}"
        raise UnsupportedModel(what, f"take a file in one of {_known()}") from error
    items = math.prod(tensor.axes)
    if not 0 < items <= _MOST_ITEMS or tensor.axes[0] % block:
        raise damaged(path, f"tensor {quoted(tensor.name)} is {kind.name} {tensor.axes}")
    nbytes = items // block * block_bytes
    return TensorInfo(tensor.name, kind.name, tuple(reversed(tensor.axes)), nbytes)


def _known() -> str:
    return ", ".join(sorted(FLOATS | QUANTIZED))


def _check_readable(path: Path, info: TensorInfo) -> None:
    # a vector has no rows to cut blocks into; llama.cpp never quantizes one
    quantized_vector = info.dtype in QUANTIZED and len(info.shape) == 1
    if info.dtype not in FLOATS | QUANTIZED or quantized_vector:
        raise UnsupportedModel(
            f"tensor {quoted(info.name)} in '{path}' is {info.dtype} {info.shape}",
            f"take a file in one of {_known()}",
        )


def _dequantize(raw: Bytes, dtype: str) -> Floats:
    if dtype in FLOATS:
        return to_float32(raw.reshape(-1), dtype)
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize

    # scales that are not finite give weights that are not, without a word on stderr
    with np.errstate(over="ignore", invalid="ignore"):
        weights: Any = dequantize(raw, GGMLQuantizationType[dtype])
    return np.asarray(weights, np.float32)
