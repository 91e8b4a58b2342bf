"""What the readers of weights share: tensors by name and rows, their bytes, and floats of them."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aipc.errors import CheckpointError, damaged, quoted, unreadable

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

FLOATS = frozenset({"BF16", "F16", "F32", "F64"})
_NUMPY = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


def to_float32(raw: Bytes, dtype: str) -> Floats:
    """Convert little-endian ``dtype`` (one of `FLOATS`) in uint8 [bytes] to float32 [items].

    The result shares no memory with ``raw``.  NaN stays NaN, and F64 beyond float32 becomes
    infinite, both without a warning.
    """
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32: one pass, which lets other threads run
        bits: npt.NDArray[np.uint32] = np.left_shift(raw.view("<u2"), 16, dtype=np.uint32)
        return bits.view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        return raw.view(_NUMPY[dtype]).astype(np.float32)


@dataclass(frozen=True)
class TensorInfo:
    """One tensor as its file states it; ``nbytes`` is its size in the file."""

    name: str
    dtype: str
    """As the file names it: "BF16", "F16", "F32", "Q4_1" …"""
    shape: tuple[int, ...]
    nbytes: int


class TensorFile(Protocol):
    """Weights in one file or several."""

    @property
    def paths(self) -> tuple[Path, ...]: ...

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """By Hugging Face name."""
        ...

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """Rows [start, stop) of the first axis, float32 [stop - start, ...]; reads only them."""
        ...


class Weights(Protocol):
    """Named tensors read by rows: a checkpoint's, or computed from them."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """By Hugging Face name."""
        ...

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> Floats:
        """Rows [start, stop) of the first axis, float32; without bounds all."""
        ...


def find_tensor(tensors: Mapping[str, TensorInfo], name: str) -> TensorInfo:
    """Look up a tensor.

    Raises:
        CheckpointError: there is none of that name.
    """
    if name not in tensors:
        raise CheckpointError(
            f"the checkpoint has no tensor {quoted(name)}",
            "take config.json and weights of the same model",
        )
    return tensors[name]


def check_rows(info: TensorInfo, start: int, stop: int) -> None:
    """Refuse rows that the tensor does not have.

    Raises:
        CheckpointError: a scalar, or a range outside the first axis.
    """
    count = info.shape[0] if info.shape else 0
    if not info.shape or not 0 <= start <= stop <= count:
        raise CheckpointError(
            f"no rows {start} to {stop} in tensor {quoted(info.name)} of shape {info.shape}",
            "take config.json and weights of the same model",
        )


@dataclass(frozen=True, order=True)
class Extent:
    """Bytes [start, stop) of a file's data, which hold tensor ``name``."""

    start: int
    stop: int
    name: str


def check_disjoint(path: Path, extents: Iterable[Extent], size: int, *, gaps: bool) -> None:
    """Refuse extents that overlap, leave ``[0, size)``, or (unless ``gaps``) do not fill it.

    Raises:
        CheckpointError: naming the file and the tensor.
    """
    end = 0
    for extent in sorted(extents):
        if extent.start < end and extent.stop > extent.start:
            raise damaged(path, f"tensor {quoted(extent.name)} overlaps another tensor")
        if extent.start > end and not gaps:
            raise damaged(path, f"bytes before tensor {quoted(extent.name)} belong to no tensor")
        if extent.stop > size:
            raise damaged(
                path, f"tensor {quoted(extent.name)} ends {extent.stop - size} bytes after the file"
            )
        end = max(end, extent.stop)
    if end < size and not gaps:
        raise damaged(path, f"its last {size - end} bytes belong to no tensor")


def map_bytes(path: Path, offset: int, nbytes: int) -> npt.NDArray[np.uint8]:
    """Map ``nbytes`` of ``path`` from ``offset`` as read-only uint8 [nbytes].

    The mapping lives as long as an array that shares its memory, so that only what is in use stays
    resident; a mapping of the whole file would keep every page it has touched.

    Raises:
        CheckpointError: the file is gone, or shorter than it was when it was opened.
    """
    if nbytes == 0:
        return np.empty(0, np.uint8)
    start = offset - offset % mmap.ALLOCATIONGRANULARITY
    length = offset + nbytes - start
    try:
        with path.open("rb", buffering=0) as file:
            window = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=start)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:  # mmap's error for a file that is too short
        raise damaged(path, f"it ends before byte {offset + nbytes}") from error
    return np.frombuffer(window, np.uint8, nbytes, offset - start)
