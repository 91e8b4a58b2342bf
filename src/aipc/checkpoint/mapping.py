"""A part of a file, mapped into memory for as long as somebody looks at it."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aipc.errors import damaged, unreadable


def map_bytes(path: Path, offset: int, nbytes: int) -> npt.NDArray[np.uint8]:
    """Map ``nbytes`` of ``path`` from ``offset`` as read-only uint8 [nbytes].

    The mapping ends with the last array that looks into it, so that what stays resident is what
    is in use; a mapping of the whole file would keep every page it has touched.

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
    except ValueError as error:  # mmap's word for a file that is too short
        raise damaged(path, f"it ends before byte {offset + nbytes}") from error
    return np.frombuffer(window, np.uint8, nbytes, offset - start)
