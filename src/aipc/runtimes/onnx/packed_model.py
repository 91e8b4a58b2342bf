"""A model saved as ONNX Runtime's CPU kernels take it, and no second time as it was.

At each load ONNX Runtime arranges ("prepacks") the weights anew, into memory of its own.  It can save
what it arranged beside the weights (`session.save_external_prepacked_constant_initializers`) and
then maps it.  Yet it arranges the weights first and looks for what is saved by a hash of the
outcome (SessionState::PrepackConstantInitializedTensors, 1.31): so it reads both forms, and the
disk holds both.

Here only the arranged form stays.  Whatever stands in a weight's place decides nothing but the
hash, so each weight is said to lie at the beginning of the file, each some bytes further on than the last:
ONNX Runtime reads the same few megabytes again and again, and is told the hashes that come of
them.  That holds only where the very same kernels are chosen, which whoever opens the model has
to check by what it computes: a hash that isn't found has ONNX Runtime compute with the stand-in.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from aipc.artifact.files import ONNX_MODEL, ONNX_WEIGHTS
from aipc.errors import ArtifactError
from aipc.runtimes.onnx.file import PREPACKED, prepacked_blobs

_ALIGNED = 64
"""Bytes: where a blob begins decides how its kernel reads it, so it keeps its place within these."""
_PIECE = 1 << 22
_FATAL = 4


def save_packed(source: Path, folder: Path) -> None:
    """Write the model in the file ``source`` to ``folder``, as this processor's kernels take it.

    Takes the disk for both forms while it works, and the memory of a loaded model.

    Raises:
        ArtifactError: ONNX Runtime arranges nothing of it, or it can't stand in for its weights.
    """
    import onnx

    _optimize(source, folder / ONNX_MODEL, folder / ONNX_WEIGHTS)
    model = onnx.load_model(folder / ONNX_MODEL, load_external_data=False)
    tensors = [_Tensor.read(proto) for graph in _graphs(model.graph) for proto in graph.initializer]
    tensors = [tensor for tensor in tensors if tensor.length]
    packed = _packed_alone(model, tensors)
    if not packed:
        raise ArtifactError("ONNX Runtime arranges none of its weights", "it loads as it is")
    size = _compact(folder / ONNX_WEIGHTS, tensors, packed)
    for number, tensor in enumerate(packed):
        tensor.stand_in(_ALIGNED * number, size)
    for tensor in tensors:
        tensor.write(with_packed=tensor not in packed)
    onnx.save_model(model, folder / ONNX_MODEL)
    keys = _keys(folder)
    if len({keys.get(tensor.proto.name) for tensor in packed} - {None}) < len(packed):
        raise ArtifactError("two of its weights can't be told apart", "it loads as it is")
    for tensor in packed:
        tensor.packed = [(*keys[tensor.proto.name], tensor.packed[0][2])]
        tensor.write()
    onnx.save_model(model, folder / ONNX_MODEL)


def _optimize(source: Path, file: Path, weights: Path) -> None:
    """Have ONNX Runtime load ``source`` and write all of it, in both forms."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    options.optimized_model_filepath = str(file)
    for name, value in (
        ("save_external_prepacked_constant_initializers", "1"),
        ("optimized_model_external_initializers_file_name", weights.name),
        ("optimized_model_external_initializers_min_size_in_bytes", "1024"),
    ):
        options.add_session_config_entry(f"session.{name}", value)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _keys(folder: Path) -> dict[str, tuple[str, str]]:
    """Tensor to (entry's name, hash), as ONNX Runtime finds them for what stands in now."""
    import onnx

    file, weights = folder / "keys.onnx", folder / "keys.data"
    if os.name != "nt":
        weights.symlink_to(os.devnull)  # as large as the model, and of no use
    try:
        _optimize(folder / ONNX_MODEL, file, weights)
        found = onnx.load_model(file, load_external_data=False)
    finally:
        file.unlink(missing_ok=True)
        weights.unlink(missing_ok=True)
    return {
        proto.name: (entry.key, entry.value.partition("|")[0])
        for graph in _graphs(found.graph)
        for proto in graph.initializer
        for entry in proto.external_data
        if entry.key.startswith(PREPACKED)
    }


@dataclass(eq=False)
class _Tensor:
    """An initializer outside the model's file: where it lies, and where its arranged forms do."""

    proto: Any
    offset: int
    length: int
    packed: list[tuple[str, str, list[tuple[int, int]]]]
    """(entry's name, hash, blobs as (offset, length)) for each kernel that arranged it."""

    @classmethod
    def read(cls, proto: Any) -> _Tensor:
        entries = {entry.key: entry.value for entry in proto.external_data}
        packed = [
            (name, value.partition("|")[0], prepacked_blobs(value))
            for name, value in entries.items()
            if name.startswith(PREPACKED)
        ]
        return cls(proto, int(entries.get("offset", 0)), int(entries.get("length", 0)), packed)

    def write(self, *, with_packed: bool = True) -> None:
        entries = {"location": ONNX_WEIGHTS, "offset": self.offset, "length": self.length}
        del self.proto.external_data[:]
        for name, key, blobs in self.packed if with_packed else ():
            entries[name] = "|".join([key, *(f"{at};{length};0" for at, length in blobs)])
        for name, value in entries.items():
            self.proto.external_data.add(key=name, value=str(value))

    def stand_in(self, offset: int, size: int) -> None:
        """Lie at ``offset``, or as near to it as a file of ``size`` bytes allows."""
        self.offset = max(min(offset, size - self.length), 0)


def _packed_alone(model: Any, tensors: list[_Tensor]) -> list[_Tensor]:
    """Those that nothing reads but the one kernel that arranged them."""
    readers = Counter(
        name for graph in _graphs(model.graph) for node in graph.node for name in node.input
    )
    readers.update(value.name for graph in _graphs(model.graph) for value in graph.output)
    return [
        tensor for tensor in tensors if len(tensor.packed) == 1 and readers[tensor.proto.name] == 1
    ]


def _graphs(graph: Any) -> Iterator[Any]:
    """The graph and those within its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _graphs(inner)


def _compact(file: Path, tensors: list[_Tensor], packed: list[_Tensor]) -> int:
    """Move what stays to the front of the file and cut the rest off; the bytes that are left."""
    with file.open("r+b") as opened:
        moves = []
        for tensor in tensors:
            if tensor not in packed:
                moves.append((tensor.offset, tensor.length, tensor, None))
            for form in tensor.packed:
                moves += [(*blob, form[2], at) for at, blob in enumerate(form[2])]
        end = 0
        for offset, length, place, index in sorted(moves, key=lambda move: move[:2]):
            start = end + (offset - end) % _ALIGNED
            _move(opened, offset, start, length)
            end = start + length
            if index is None:
                place.offset = start
            else:
                place[index] = (start, length)
        opened.truncate(end)
    return end


def _move(file: BinaryIO, source: int, target: int, length: int) -> None:
    """Within a file, towards its beginning."""
    for done in range(0, length, _PIECE):
        file.seek(source + done)
        piece = file.read(min(_PIECE, length - done))
        file.seek(target + done)
        file.write(piece)
