"""The weights of a GGUF file in Hugging Face's names and row order, dequantized by rows."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aipc.checkpoint.gguf.grids import GRIDS, block_codes
from aipc.checkpoint.gguf.header import GgufHeader, GgufTensor, read_header
from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.names import NOT_WEIGHTS, find_architecture, translate
from aipc.checkpoint.tensors import (
    FLOATS,
    Bytes,
    Extent,
    Floats,
    Grid,
    GridCodes,
    TensorInfo,
    check_disjoint,
    check_rows,
    find_tensor,
    map_bytes,
    to_float32,
)
from aipc.errors import UnsupportedModel, damaged, quoted

_DEFAULT_ALIGNMENT = 32
_MOST_ALIGNMENT = 2**20
_MOST_ITEMS = 2**48
_TAKE = "take a file in another type, such as Q4_K_M, Q8_0 or F16"


class GgufTensors(Protocol):
    """Tensors as stored, in one file or in several parts, with the metadata of the first."""

    path: Path
    metadata: Metadata
    tensors: dict[str, TensorInfo]

    @property
    def paths(self) -> tuple[Path, ...]: ...

    def read_rows(self, name: str, order: npt.NDArray[np.int64]) -> Floats:
        """Rows of the first axis, in any order, as float32 [len(order), ...]."""
        ...

    def read_blocks(self, name: str, order: npt.NDArray[np.int64]) -> Bytes:
        """Rows of the first axis, one at least, as stored: uint8 [len(order), bytes of a row]."""
        ...

    def read_all(self, name: str) -> Floats:
        """A whole tensor, float32."""
        ...


class GgufFile:
    """One GGUF file, its tensors as stored; the structure is checked when it is opened.

    Raises:
        CheckpointError: cut short, or a header that contradicts itself or the file's size.
        UnsupportedModel: a tensor type unknown to ggml.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.paths = (path,)
        header = read_header(path)
        self.metadata = Metadata(path, header.values)
        self._data_start = _data_start(self.metadata, header)
        self.tensors = {tensor.name: _info(path, tensor) for tensor in header.tensors}
        self._offsets = {tensor.name: tensor.offset for tensor in header.tensors}
        self._check_extents(header)

    def read_rows(self, name: str, order: npt.NDArray[np.int64]) -> Floats:
        """Read rows of the first axis, in any order, as float32 [len(order), ...].

        Raises:
            CheckpointError: the file was cut short since it was opened.
            UnsupportedModel: a type that can't be turned into floats.
        """
        info = self.tensors[name]
        _check_readable(self.path, info)
        if not order.size:
            return np.empty((0, *info.shape[1:]), np.float32)
        raw = self.read_blocks(name, order)
        return _dequantize(raw, info.dtype).reshape(len(order), *info.shape[1:])

    def read_blocks(self, name: str, order: npt.NDArray[np.int64]) -> Bytes:
        """Rows of the first axis, one at least, as stored: uint8 [len(order), bytes of a row]."""
        info = self.tensors[name]
        first, last = int(order.min()), int(order.max())
        row_bytes = info.nbytes // info.shape[0]
        offset = self._data_start + self._offsets[name] + first * row_bytes
        window = map_bytes(self.path, offset, (last + 1 - first) * row_bytes)
        return window.reshape(-1, row_bytes)[order - first]

    def read_all(self, name: str) -> Floats:
        """A whole tensor, float32."""
        return self.read_rows(name, np.arange(self.tensors[name].shape[0]))

    def _check_extents(self, header: GgufHeader) -> None:
        if len(self.tensors) < len(header.tensors):
            raise damaged(self.path, "a tensor is in its list twice")
        extents = [
            Extent(start, start + self.tensors[name].nbytes, name)
            for name, start in self._offsets.items()
        ]
        # alignment leaves holes between tensors
        check_disjoint(self.path, extents, header.file_size - self._data_start, gaps=True)


class GgufWeights:
    """A `TensorFile` over `GgufTensors`, in Hugging Face's names and values.

    llama.cpp stores the q and k projections of the llama architecture with the rows of each head
    permuted, so that the two halves that rotate together are side by side
    (``convert_hf_to_gguf.py``, ``LlamaModel.permute``); `rows` puts them back in order.  It adds 1
    to the weights of Gemma's norms; `rows` takes it off again.

    Raises:
        UnsupportedModel: an unknown architecture or tensor, or a type that can't become floats.
        CheckpointError: a q or k projection whose rows its heads do not divide.
    """

    def __init__(self, file: GgufTensors) -> None:
        self._file = file
        self.paths = file.paths
        architecture = find_architecture(file.path, file.metadata.architecture)
        self._stored = {
            translate(file.path, architecture, name): name
            for name in file.tensors
            if name not in NOT_WEIGHTS
        }
        for stored in self._stored.values():
            _check_readable(file.path, file.tensors[stored])
        self.tensors = {
            name: replace(file.tensors[stored], name=name) for name, stored in self._stored.items()
        }
        self._heads = self._count_heads() if architecture.permuted else {}
        self._norm_offset = architecture.norm_offset

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """Read rows [start, stop) of the first axis as float32 [stop - start, ...].

        Raises:
            CheckpointError: no such tensor or rows, or the file was cut short meanwhile.
        """
        order = self._order(name, start, stop)
        weights = self._file.read_rows(self._stored[name], order)
        return weights - np.float32(self._norm_offset) if name.endswith("norm.weight") else weights

    def grid(self, name: str) -> Grid | None:
        """As `TensorFile.grid`."""
        return GRIDS.get(self.tensors[name].dtype)

    def codes(self, name: str, start: int, stop: int) -> GridCodes:
        """As `TensorFile.codes`, with the errors of `rows`."""
        order = self._order(name, start, stop)
        blocks = self._file.read_blocks(self._stored[name], order)
        return block_codes(blocks, self.tensors[name].dtype)

    def _order(self, name: str, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Where the rows [start, stop) are stored."""
        info = find_tensor(self.tensors, name)
        check_rows(info, start, stop)
        order = np.arange(start, stop)
        if name in self._heads:
            order = stored_order(order, info.shape[0] // self._heads[name])
        return order

    def _count_heads(self) -> dict[str, int]:
        """The number of heads of each tensor that is stored permuted."""
        metadata = self._file.metadata
        queries = metadata.size("{arch}.attention.head_count")
        keys = metadata.size("{arch}.attention.head_count_kv", queries)
        heads = {}
        for name, info in self.tensors.items():
            if ".self_attn.q_proj." in name or ".self_attn.k_proj." in name:
                heads[name] = queries if ".q_proj." in name else keys
                if info.shape[0] % (2 * heads[name]):
                    why = f"{heads[name]} heads do not divide {quoted(name)} {info.shape}"
                    raise damaged(self._file.path, why)
        return heads


def stored_order(rows: npt.NDArray[np.int64], head_size: int) -> npt.NDArray[np.int64]:
    """The rows at which llama.cpp stores the checkpoint's ``rows`` of a q or k projection.

    Row ``half * head_size / 2 + i`` of a head is stored as its row ``2 * i + half``.
    """
    head, row = np.divmod(rows, head_size)
    half, i = np.divmod(row, head_size // 2)
    return np.asarray(head * head_size + 2 * i + half)


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
        raise UnsupportedModel(what, _TAKE) from error
    items = math.prod(tensor.axes)
    if not 0 < items <= _MOST_ITEMS or tensor.axes[0] % block:
        raise damaged(path, f"tensor {quoted(tensor.name)} is {kind.name} {tensor.axes}")
    nbytes = items // block * block_bytes
    shape = tuple(reversed(tensor.axes))
    if len(shape) == 3 and "_exps." in tensor.name:  # experts' rows, one after the other
        shape = (shape[0] * shape[1], shape[2])
    if len(shape) == 1 and "_inp_shexp." in tensor.name:  # a matrix of one row
        shape = (1, *shape)
    return TensorInfo(tensor.name, kind.name, shape, nbytes)


def _check_readable(path: Path, info: TensorInfo) -> None:
    # a vector has no rows to cut blocks into; llama.cpp never quantizes one
    is_readable = info.dtype in FLOATS or (len(info.shape) > 1 and is_decoded(info.dtype))
    if not is_readable:
        raise UnsupportedModel(
            f"tensor {quoted(info.name)} in '{path}' is {info.dtype} {info.shape}", _TAKE
        )


@cache
def is_decoded(dtype: str) -> bool:
    """Whether the gguf package decodes blocks of a type, which it says only when asked to."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize

    kind = GGMLQuantizationType[dtype]
    try:
        dequantize(np.zeros((1, GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except NotImplementedError:
        return False
    return True


def _dequantize(raw: Bytes, dtype: str) -> Floats:
    if dtype in FLOATS:
        return to_float32(raw.reshape(-1), dtype)
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize

    # scales that are not finite give weights that are not, without a warning
    with np.errstate(over="ignore", invalid="ignore"):
        weights: Any = dequantize(raw, GGMLQuantizationType[dtype])
    return np.asarray(weights, np.float32)
