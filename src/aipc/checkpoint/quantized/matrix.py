"""A matrix that several stored tensors make up together, given out by rows as floats or codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import numpy.typing as npt

from aipc.checkpoint.quantized.layer import Layer
from aipc.checkpoint.quantized.packing import Codes
from aipc.checkpoint.tensors import Floats, Grid, GridCodes, TensorInfo

Zeros = npt.NDArray[np.int16]
GRID_BITS = (4, 8)


class PackedMatrix(ABC):
    """``kind`` names the way it is packed, ``shape`` is [rows, columns], ``parts`` are its tensors.

    Reading raises CheckpointError where scales are no finite numbers.
    """

    def __init__(self, layer: Layer, kind: str, shape: tuple[int, int], *parts: str) -> None:
        self.layer = layer
        self.kind = kind
        self.shape = shape
        self.parts = tuple(part for part in parts if layer.has(part))

    def info(self, name: str) -> TensorInfo:
        """As what a `TensorFile` lists it."""
        return TensorInfo(name, self.kind, self.shape, self.layer.nbytes(*self.parts))

    @abstractmethod
    def rows(self, start: int, stop: int) -> Floats:
        """Rows [start, stop), float32 [stop - start, columns]."""

    def grid(self) -> Grid | None:
        return None

    def codes(self, start: int, stop: int) -> GridCodes:
        """Rows [start, stop) of a matrix that has a `grid`."""
        raise NotImplementedError


class IntegerMatrix(PackedMatrix):
    """Codes of ``bits`` bits, with a scale and mostly a zero point for each group of a row.

    A weight is ``(code - zero) * scale``, which float32 holds exactly for a scale of 16 bits.
    """

    bits: int
    group: int
    """Columns that share a scale, one after another unless `group_index` says otherwise."""

    @abstractmethod
    def unsigned_codes(self, start: int, stop: int) -> Codes:
        """uint8 [stop - start, columns]."""

    @abstractmethod
    def scale(self, start: int, stop: int) -> Floats:
        """float32 [stop - start, groups]."""

    def zero(self, start: int, stop: int) -> Zeros | None:
        """int16 [stop - start, groups]; None: `middle` everywhere."""
        del start, stop
        return None

    def group_index(self) -> npt.NDArray[np.int32] | None:
        """The group of each column, int32 [columns]; None where they lie in order."""
        return None

    @property
    def middle(self) -> int:
        return 1 << (self.bits - 1)

    @cached_property
    def _index(self) -> npt.NDArray[np.int32] | None:
        """`group_index`, checked; also of a last group that is not whole."""
        columns = self.shape[1]
        ordered = np.arange(columns, dtype=np.int32) // self.group
        found = self.group_index()
        if found is None or np.array_equal(found, ordered):
            return None if columns % self.group == 0 else ordered
        if found.min() < 0 or found.max() > ordered[-1]:
            raise self.layer.contradicted(
                f"a column is in group {found.max()} of {ordered[-1] + 1}"
            )
        return found

    def rows(self, start: int, stop: int) -> Floats:
        codes, scale, zero = self._parts(start, stop)
        below = np.full((1, 1), self.middle) if zero is None else zero
        below = np.broadcast_to(below, scale.shape).astype(np.float32)
        if self._index is not None:
            weights = codes.astype(np.float32)
            weights -= np.take(below, self._index, axis=1)
            weights *= np.take(scale, self._index, axis=1)
            return weights
        grouped = codes.reshape(*scale.shape, -1).astype(np.float32)
        grouped -= below[..., None]
        grouped *= scale[..., None]
        return grouped.reshape(codes.shape)

    def grid(self) -> Grid | None:
        if self.bits not in GRID_BITS or self._index is not None:
            return None
        scale, zero = self.scale(0, self.shape[0]), self.zero(0, self.shape[0])
        with np.errstate(over="ignore"):
            narrow = scale.astype(np.float16)
        if not np.isfinite(narrow).all() or ((narrow == 0) & (scale != 0)).any():
            return None
        if zero is not None and (zero.min() < 0 or zero.max() >= 1 << self.bits):
            return None
        # of 8 bits the least code may be there, which symmetric formats leave out
        is_middle = self.bits == 4 and (zero is None or bool((zero == self.middle).all()))
        return Grid(self.bits, self.group, is_middle, np.array_equal(narrow, scale))

    def codes(self, start: int, stop: int) -> GridCodes:
        codes, scale, zero = self._parts(start, stop)
        return GridCodes(codes, scale, None if zero is None else zero.astype(np.uint8))

    def _parts(self, start: int, stop: int) -> tuple[Codes, Floats, Zeros | None]:
        codes, scale = self.unsigned_codes(start, stop), self.scale(start, stop)
        zero = self.zero(start, stop)
        empty = scale == 0
        if empty.any() and self._index is None:
            self._check_empty(codes.reshape(*scale.shape, -1)[empty], zero, empty)
        return codes, scale, zero

    def _check_empty(self, codes: Codes, zero: Zeros | None, empty: npt.NDArray[np.bool_]) -> None:
        """Groups of scale 0 hold nothing but their zero point, as no code could come of it."""
        wanted = self.middle if zero is None else zero[empty][:, None]
        if (codes != wanted).any():
            raise self.layer.contradicted("a scale of 0 stands with codes that are not 0")
