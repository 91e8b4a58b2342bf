"""What the readers of weights have in common: names, shapes, and some rows at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aipc.checkpoint.floats import Floats
from aipc.errors import FETCH_AGAIN, CheckpointError, quoted


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
    """Named tensors read by rows: a checkpoint's, or what was made of them."""

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
        raise CheckpointError(f"the checkpoint has no tensor {quoted(name)}", FETCH_AGAIN)
    return tensors[name]


def check_rows(info: TensorInfo, start: int, stop: int) -> None:
    """Refuse rows that the tensor does not have.

    Raises:
        CheckpointError: a scalar, or a range outside the first axis.
    """
    count = info.shape[0] if info.shape else 0
    if not info.shape or not 0 <= start <= stop <= count:
        raise CheckpointError(
            f"rows {start} to {stop} asked of tensor {quoted(info.name)} of shape {info.shape}",
            "the configuration and the weights belong to different models",
        )
