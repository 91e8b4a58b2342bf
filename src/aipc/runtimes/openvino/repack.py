"""The first inference on the CPU, in which OpenVINO repacks the weights for its kernels.

Those of experts it repacks before, as it compiles the graph.

The file that it maps is read once, matrix after matrix, and is of no use afterwards; left alone,
it lies in memory beside the copy, and the process has its weights twice.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aipc.runtimes.openvino.generation import token_tensor

_PERIOD_S = 0.05
"""In which twelve cores repack 35 MB."""


def repack(pipeline: Any, weights: Path, config: Any) -> None:
    """Have ``pipeline`` compute one token, and keep no more of ``weights`` than is being read.

    `generate` lets go of Python's lock, which `step` holds: other threads go on meanwhile.
    """
    with read_once(weights):
        pipeline.generate([token_tensor([0])], [config])


@contextmanager
def read_once(file: Path) -> Iterator[None]:
    """Give mapped pages of ``file`` back soon after they were read, those read before as well.

    They stay in the system's file cache, from which another read has them again.  Linux alone
    says what is mapped where; elsewhere nothing is given back.
    """
    over = threading.Event()
    thread = threading.Thread(target=_give_back, args=(file, over), name="aipc-repack", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def mapped_ranges(file: Path) -> list[tuple[int, int]]:
    """(address, bytes) of each mapping of ``file`` in this process that nobody can write to."""
    if sys.platform != "linux":
        return []
    name, found = str(file.resolve()), []
    listing = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape")
    for line in listing.splitlines():
        fields = line.split(maxsplit=5)  # address perms offset dev inode pathname, see proc(5)
        if fields[5:] == [name] and "w" not in fields[1]:
            start, end = (int(address, 16) for address in fields[0].split("-"))
            found.append((start, end - start))
    return found


def _give_back(file: Path, over: threading.Event) -> None:
    if sys.platform == "linux":
        import ctypes
        import mmap

        advise = ctypes.CDLL(None).madvise
        advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        is_over = False
        while not is_over:
            is_over = over.wait(_PERIOD_S)
            # Looked up each time: after an unmapping the addresses may be someone else's memory.
            for start, size in mapped_ranges(file):
                advise(start, size, mmap.MADV_DONTNEED)
