"""Where tensors lie in a file: inside it, and never on each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aipc.errors import damaged, quoted


@dataclass(frozen=True, order=True)
class Extent:
    """Bytes [start, stop) of a file's data, which tensor ``name`` occupies."""

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
            raise damaged(path, f"tensor {quoted(extent.name)} lies on another tensor")
        if extent.start > end and not gaps:
            raise damaged(path, f"bytes before tensor {quoted(extent.name)} belong to nothing")
        if extent.stop > size:
            raise damaged(
                path, f"tensor {quoted(extent.name)} ends {extent.stop - size} bytes after the file"
            )
        end = max(end, extent.stop)
    if end < size and not gaps:
        raise damaged(path, f"its last {size - end} bytes belong to no tensor")
