"""A GGUF model in one file, or in the parts that llama.cpp's ``gguf-split`` makes.

Of its keys, ``split.no`` numbers a part (from 0), ``split.count`` is how many there are and
``split.tensors.count`` how many tensors they hold together.  Only the first has the other metadata.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from aipc.artifact.files import gguf_parts
from aipc.checkpoint.gguf.weights import GgufFile, GgufTensors
from aipc.checkpoint.tensors import Bytes, Floats
from aipc.errors import CheckpointError, damaged

_NO, _COUNT, _TENSORS = "split.no", "split.count", "split.tensors.count"


def open_gguf(path: Path) -> GgufTensors:
    """Open a GGUF file and, where it is one part of several, the others beside it.

    Raises:
        CheckpointError: damaged, or a part that is missing or of another model.
        UnsupportedModel: a tensor type unknown to ggml.
    """
    file = GgufFile(path)
    count = file.metadata.integer(_COUNT, 1)
    if count <= 1:
        return file
    paths = [path.with_name(name) for name in gguf_parts(path.name)]
    if len(paths) != count:
        raise CheckpointError(
            f"'{path}' is one of {count} parts of a model, and its name does not say so",
            f"name the parts NAME-00001-of-{count:05}.gguf and so on, as they were made",
        )
    for part in paths:
        if not part.is_file():
            raise CheckpointError(
                f"'{part.name}' is missing beside '{path}', one of {count} parts of a model",
                "put all of its parts into one folder",
            )
    return _Parts(path, [file if part == path else GgufFile(part) for part in paths])


class _Parts:
    """The tensors of several files as those of one."""

    def __init__(self, path: Path, files: list[GgufFile]) -> None:
        self.path = path
        self.paths = tuple(file.path for file in files)
        self.metadata = files[0].metadata
        self._file_of = {name: file for file in files for name in file.tensors}
        self.tensors = {name: file.tensors[name] for name, file in self._file_of.items()}
        _check_one_model(files, len(self.tensors))

    def read_rows(self, name: str, order: npt.NDArray[np.int64]) -> Floats:
        """Read rows of the first axis, in any order, as float32 [len(order), ...]."""
        return self._file_of[name].read_rows(name, order)

    def read_blocks(self, name: str, order: npt.NDArray[np.int64]) -> Bytes:
        """As `GgufFile.read_blocks`."""
        return self._file_of[name].read_blocks(name, order)

    def read_all(self, name: str) -> Floats:
        """A whole tensor, float32."""
        return self._file_of[name].read_all(name)


def _check_one_model(files: list[GgufFile], tensors: int) -> None:
    first = files[0].metadata
    stated = first.integer(_TENSORS, tensors)
    architecture = first.architecture
    for number, file in enumerate(files):
        metadata = file.metadata
        place = metadata.integer(_NO), metadata.integer(_COUNT, 1)
        if place != (number, len(files)):
            what = f"it says that it is part {place[0] + 1} of {place[1]}"
            raise _stranger(file.path, what)
        if metadata.text("general.architecture", architecture) != architecture:
            raise _stranger(file.path, f"its network is no {architecture}")
        if metadata.integer(_TENSORS, stated) != stated:
            raise _stranger(file.path, f"its model has other tensors than {stated}")
    held = sum(len(file.tensors) for file in files)
    if tensors < held:
        raise damaged(files[0].path, "some tensors are in several of its parts")
    if tensors != stated:
        raise damaged(files[0].path, f"its parts hold {tensors} of {stated} tensors")


def _stranger(path: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"'{path}' is no part of the model that its name states: {why}",
        "put the parts of one model into a folder, named as they were made",
    )
