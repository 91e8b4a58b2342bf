"""The tensors that one layer of a quantized checkpoint is stored as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.checkpoint.quantized.settings import QuantizationSettings
from aipc.checkpoint.tensors import (
    BYTE_FLOATS,
    FLOATS,
    Floats,
    StoredTensors,
    TensorInfo,
    to_float32,
)

SCALES = (*sorted(FLOATS - {"F64"}), *sorted(BYTE_FLOATS))
"""The types that scales are stored in."""


@dataclass(frozen=True)
class Layer:
    """Tensors that begin with ``name``, which ends before the dot; a part is what follows it."""

    file: StoredTensors
    settings: QuantizationSettings
    name: str

    def has(self, part: str) -> bool:
        return self._tensor(part) in self.file.tensors

    def info(self, part: str) -> TensorInfo:
        """Raises CheckpointError for a part that is missing."""
        if not self.has(part):
            raise self.contradicted(f"{part} is missing")
        return self.file.tensors[self._tensor(part)]

    def check(self, part: str, types: Sequence[str], *shapes: Sequence[int]) -> TensorInfo:
        """A part that has one of these types, and one of these shapes where some are given.

        Raises:
            CheckpointError: it is missing or has not.
        """
        info = self.info(part)
        if info.dtype not in types or (shapes and info.shape not in map(tuple, shapes)):
            wanted = f" {list(shapes[0])}" if shapes else ""
            raise self.contradicted(
                f"{part} is {info.dtype} {list(info.shape)} in place of {types[0]}{wanted}"
            )
        return info

    def matrix(self, part: str, types: Sequence[str]) -> tuple[int, int]:
        """The shape of a part that has two axes.

        Raises:
            CheckpointError: it is missing, of another type, or has not.
        """
        shape = self.check(part, types).shape
        if len(shape) != 2 or 0 in shape:
            raise self.contradicted(f"{part} is {list(shape)}, no matrix")
        return shape[0], shape[1]

    def stored(self, part: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """As `StoredTensors.stored`."""
        return self.file.stored(self._tensor(part), start, stop)

    def nbytes(self, *parts: str) -> int:
        return sum(self.info(part).nbytes for part in parts if self.has(part))

    def floats(self, part: str, rows: slice = slice(None), columns: slice = slice(None)) -> Floats:
        """Some rows and columns of a part of floats, or one number of a scalar; float32.

        Raises:
            CheckpointError: one of them is not finite.
        """
        info = self.info(part)
        values = self.stored(part)
        if info.shape:
            values = values[(rows, columns)[: len(info.shape)]]
        raw = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        found = to_float32(raw, info.dtype).reshape(values.shape)
        if not np.isfinite(found).all():
            raise self.contradicted(f"{part} holds values that are no numbers")
        return found

    def contradicted(self, why: str) -> Exception:
        return self.settings.contradicted(self.name, why)

    def _tensor(self, part: str) -> str:
        return f"{self.name}.{part}"
