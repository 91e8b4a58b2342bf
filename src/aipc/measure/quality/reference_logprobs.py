"""The float reference's answers, computed once and kept for every model compared with it.

    HOME/references/KEY.npy     log-probabilities, float16 [places, vocabulary]

Float16 is good to 1e-3 where a token is likely, which moves a mean KL by about 1e-6.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aipc import disk
from aipc.errors import MeasurementError
from aipc.measure.quality.divergence import judged, log_softmax
from aipc.measure.quality.passages import Window
from aipc.runtimes.base import Scorer

KEPT = 3
"""Files; the oldest goes when another is made.  One of 2,048 places takes 130 to 820 MB."""


def find_truth(folder: Path, key: str) -> npt.NDArray[np.float16] | None:
    """What is kept under ``key``, mapped from the disk; None where there is none."""
    try:
        kept: npt.NDArray[np.float16] = np.load(_file(folder, key), mmap_mode="r")
    except (OSError, ValueError):
        return None
    _file(folder, key).touch()
    return kept


def make_truth(
    folder: Path, key: str, scorer: Scorer, windows: Sequence[Window]
) -> npt.NDArray[np.float16]:
    """Compute the reference's log-probabilities, keep them under ``key`` and map them.

    Raises:
        MeasurementError: the disk has no room.
        EngineError: the scorer's.
    """
    final = _file(folder, key)
    draft = final.with_suffix(f".{os.getpid()}.part")
    places = sum(window.places for window in windows)
    with disk.explained(folder, MeasurementError):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _write(draft, scorer, windows, places)
            draft.replace(final)
        finally:
            draft.unlink(missing_ok=True)
    _forget_oldest(folder)
    kept: npt.NDArray[np.float16] = np.load(final, mmap_mode="r")
    return kept


def _write(draft: Path, scorer: Scorer, windows: Sequence[Window], places: int) -> None:
    rows = judged(scorer, windows)
    first = next(rows)
    vocabulary = first[0].shape[1]
    disk.require(draft.parent, 2 * places * vocabulary, "the reference's text", MeasurementError)
    kept = np.lib.format.open_memmap(draft, "w+", np.float16, (places, vocabulary))
    done = 0
    for scores, _ in chain([first], rows):
        kept[done : done + len(scores)] = log_softmax(scores)
        done += len(scores)
    kept.flush()


def _forget_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.npy"), key=lambda file: file.stat().st_mtime)
    for file in files[:-KEPT]:
        with suppress(OSError):  # another process reads it, and Windows keeps it then
            file.unlink()


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.npy"
