"""What the readers of weights share: tensors by name and rows, their bytes, and floats of them."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aipc.errors import CheckpointError, damaged, quoted, unreadable

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

FLOATS = frozenset({"BF16", "F16", "F32", "F64"})
BYTE_FLOATS = frozenset({"F8_E4M3", "F8_E5M2", "F8_E8M0"})
"""Of 8 bits (OCP 8-bit Floating Point 1.0 and Microscaling Formats 1.0)."""
_NUMPY = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


def to_float32(raw: Bytes, dtype: str) -> Floats:
    """Convert little-endian ``dtype`` (of `FLOATS` or `BYTE_FLOATS`) in uint8 [bytes] to float32.

    The result shares no memory with ``raw``.  NaN stays NaN, and F64 beyond float32 becomes
    infinite, both without a warning.
    """
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32: one pass, which lets other threads run
        bits: npt.NDArray[np.uint32] = np.left_shift(raw.view("<u2"), 16, dtype=np.uint32)
        return bits.view(np.float32)
    if dtype in BYTE_FLOATS:
        return byte_values(dtype)[raw]
    with np.errstate(over="ignore", invalid="ignore"):
        return raw.view(_NUMPY[dtype]).astype(np.float32)


def floats_of(stored: npt.NDArray[Any], dtype: str) -> Floats:
    """Values as `StoredTensors.stored` gives them, of any shape and order, as float32."""
    raw = np.ascontiguousarray(stored).reshape(-1).view(np.uint8)
    return to_float32(raw, dtype).reshape(stored.shape)


@cache
def byte_values(dtype: str) -> Floats:
    """The number that each byte means in one of `BYTE_FLOATS`, float32 [256]."""
    codes = np.arange(256, dtype=np.uint16)
    if dtype == "F8_E5M2":  # the upper half of a float16
        with np.errstate(invalid="ignore"):
            return (codes << 8).view(np.float16).astype(np.float32)
    if dtype == "F8_E8M0":
        powers: Floats = np.ldexp(np.float32(1), codes[:255].astype(np.int32) - 127)
        return np.append(powers, np.float32(np.nan))
    exponent, fraction = (codes >> 3 & 15).astype(np.int32), (codes & 7).astype(np.float32)
    normal = np.ldexp(8 + fraction, exponent - 10)
    magnitude: Floats = np.where(exponent == 0, np.ldexp(fraction, -9), normal)
    magnitude[[0x7F, 0xFF]] = np.nan  # it has no infinity
    return np.where(codes < 128, magnitude, -magnitude)


@dataclass(frozen=True)
class Grid:
    """A matrix's weights as whole numbers of ``bits`` with one scale for each ``group`` in a row.

    ``sym``: the zero point is everywhere ``2 ** (bits - 1)``, and no code of 8 bits is 0.
    ``exact``: float16 holds every scale as it is.
    """

    bits: int
    group: int
    sym: bool
    exact: bool = True


@dataclass(frozen=True)
class GridCodes:
    """Rows of a matrix on a `Grid`: a weight is ``(code - zero) * scale``.

    ``codes`` are uint8 [n, k], ``scale`` float32 and ``zero`` uint8 [n, k / group]; ``zero`` is
    None where it is everywhere ``2 ** (bits - 1)``.
    """

    codes: npt.NDArray[np.uint8]
    scale: Floats
    zero: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class TensorInfo:
    """One tensor as its file states it; ``nbytes`` is its size in the file."""

    name: str
    dtype: str
    """As the file names it: "BF16", "F16", "F32", "Q4_1" …"""
    shape: tuple[int, ...]
    nbytes: int


class TensorRows(Protocol):
    """Tensors in one file or several, read by rows."""

    @property
    def paths(self) -> tuple[Path, ...]: ...

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """By name."""
        ...

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """Rows [start, stop) of the first axis, float32 [stop - start, ...]; reads only them."""
        ...


class StoredTensors(TensorRows, Protocol):
    """Tensors as they are stored, whatever that means, by the file's own names."""

    def stored(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Rows [start, stop) in the stored type, read-only; floats that numpy lacks as their bits.

        Without bounds all, which need not be read before they are used.
        """
        ...


class TensorFile(TensorRows, Protocol):
    """Weights, by Hugging Face name."""

    def grid(self, name: str) -> Grid | None:
        """The grid that the file holds a matrix on; None for floats and all that is no grid."""
        ...

    def codes(self, name: str, start: int, stop: int) -> GridCodes:
        """Rows [start, stop) of a matrix that has a `grid`, as the file holds them."""
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

    def codes(self, name: str, start: int, stop: int) -> GridCodes:
        """Rows [start, stop) of a matrix that has a grid, as `TensorFile.codes`."""
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
