"""A model saved as ONNX Runtime's CPU kernels take it, and no second time as it was.

At each load ONNX Runtime arranges ("prepacks") the weights anew, into memory of its own.  It can
save what it arranged beside them (`session.save_external_prepacked_constant_initializers`) and then
maps that.  Yet it arranges them first all the same, and looks for what is saved by a hash of the
outcome (PrepackConstantInitializedTensors in session_state.cc, 1.31): it reads both forms, and the
disk holds both.

Here the arranged form alone stays.  What stands in a weight's place decides nothing but the hash,
so each weight is said to lie at the beginning of the file, 64 bytes further on than the one before:
ONNX Runtime reads the same few megabytes again and again, and is told the hashes that come of that.
They hold only where the very same kernels are chosen.  Elsewhere ONNX Runtime finds no such hash
and computes with the stand-in, without a word: who opens the model has to compare what it computes.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from aipc.artifact.files import ONNX_MODEL, ONNX_WEIGHTS
from aipc.artifact.onnx_file import PREPACKED, prepacked_blobs
from aipc.errors import ArtifactError

_ALIGNED = 64
"""Bytes: what a kernel arranged begins at a multiple in memory, and is read wrongly elsewhere.

ONNX Runtime 1.31 itself writes it anywhere, so what it saves may compute nonsense."""
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
    tensors = [_Tensor.read(proto) for proto in _initializers(model) if proto.external_data]
    packed = _packed_alone(model, tensors)
    if not packed:
        raise ArtifactError("ONNX Runtime arranges none of its weights", "it loads as it is")
    size = _compact(folder / ONNX_WEIGHTS, tensors, packed)
    for number, tensor in enumerate(packed):
        tensor.own.offset = max(min(_ALIGNED * number, size - tensor.own.length), 0)
    for tensor in tensors:
        tensor.write(with_forms=tensor not in packed)
    onnx.save_model(model, folder / ONNX_MODEL)
    _take_keys(folder, packed)
    onnx.save_model(model, folder / ONNX_MODEL)


def _take_keys(folder: Path, packed: list[_Tensor]) -> None:
    """Give each arranged form the hash by which ONNX Runtime will look for it.

    Raises:
        ArtifactError: two have one hash.
    """
    keys = _keys(folder)
    for tensor in packed:
        tensor.forms[0].name, tensor.forms[0].key = keys[tensor.proto.name]
        tensor.write()
    if len({tensor.forms[0].key for tensor in packed}) < len(packed):
        raise ArtifactError("two of its weights can't be told apart", "it loads as it is")


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
    if sys.platform != "win32":
        weights.symlink_to(os.devnull)  # as large as the model, and of no use
    try:
        _optimize(folder / ONNX_MODEL, file, weights)
        found = onnx.load_model(file, load_external_data=False)
    finally:
        file.unlink(missing_ok=True)
        weights.unlink(missing_ok=True)
    return {
        proto.name: (entry.key, _key(entry.value))
        for proto in _initializers(found)
        for entry in proto.external_data
        if entry.key.startswith(PREPACKED)
    }


@dataclass
class _Place:
    offset: int
    length: int


@dataclass
class _Form:
    """What one kernel made of a tensor: the entry's name, the hash, where its blobs lie."""

    name: str
    key: str
    blobs: list[_Place]


@dataclass(eq=False)
class _Tensor:
    """An initializer outside the model's file: where it lies, and where its arranged forms do."""

    proto: Any
    own: _Place
    forms: list[_Form]

    @classmethod
    def read(cls, proto: Any) -> _Tensor:
        entries = {entry.key: entry.value for entry in proto.external_data}
        own = _Place(int(entries.get("offset", 0)), int(entries.get("length", 0)))
        forms = [
            _Form(name, _key(value), [_Place(*blob) for blob in prepacked_blobs(value)])
            for name, value in entries.items()
            if name.startswith(PREPACKED)
        ]
        return cls(proto, own, forms)

    def places(self, *, with_own: bool) -> list[_Place]:
        arranged = [blob for form in self.forms for blob in form.blobs]
        return [self.own, *arranged] if with_own else arranged

    def write(self, *, with_forms: bool = True) -> None:
        """Have the model's file say where it lies."""
        own = {"location": ONNX_WEIGHTS, "offset": self.own.offset, "length": self.own.length}
        forms = {
            form.name: "|".join([form.key, *(f"{at.offset};{at.length};0" for at in form.blobs)])
            for form in self.forms
        }
        del self.proto.external_data[:]
        for name, value in (own | forms if with_forms else own).items():
            self.proto.external_data.add(key=name, value=str(value))


def _key(value: str) -> str:
    return value.partition("|")[0]


def _packed_alone(model: Any, tensors: list[_Tensor]) -> list[_Tensor]:
    """Those that nothing reads but the one kernel that arranged them."""
    readers = Counter(
        name for graph in _graphs(model.graph) for node in graph.node for name in node.input
    )
    readers.update(value.name for graph in _graphs(model.graph) for value in graph.output)
    return [
        tensor for tensor in tensors if len(tensor.forms) == 1 and readers[tensor.proto.name] == 1
    ]


def _initializers(model: Any) -> list[Any]:
    return [proto for graph in _graphs(model.graph) for proto in graph.initializer]


def _graphs(graph: Any) -> Iterator[Any]:
    """The graph and those within its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _graphs(inner)


def _compact(file: Path, tensors: list[_Tensor], packed: list[_Tensor]) -> int:
    """Move what stays to the front of the file and cut the rest off; the bytes that are left."""
    places = [place for tensor in tensors for place in tensor.places(with_own=tensor not in packed)]
    end = 0
    with file.open("r+b") as opened:
        for place in sorted(places, key=lambda place: place.offset):
            start = end + -end % _ALIGNED
            if start > place.offset:
                raise ArtifactError("its weights lie too close together to be moved")
            _move(opened, place.offset, start, place.length)
            place.offset, end = start, start + place.length
        opened.truncate(end)
    return end


def _move(file: BinaryIO, source: int, target: int, length: int) -> None:
    """Within a file, towards its beginning."""
    for done in range(0, length, _PIECE):
        file.seek(source + done)
        piece = file.read(min(_PIECE, length - done))
        file.seek(target + done)
        file.write(piece)
