"""OpenVINO's IR files: a graph's XML, and the .bin of weights beside it, checked to be whole."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from aipc.artifact.files import OPENVINO_MODEL, OPENVINO_WEIGHTS
from aipc.convert.layout import Layout
from aipc.convert.openvino.weights import PlaceholderWeights
from aipc.errors import ConversionError

_NEARLY_NOTHING = 2**20  # bytes free on a disk that is full
_NUMBERED = re.compile(r"[A-Za-z]+_\d+")


def save(model: Any, xml: Path) -> None:
    """Write ``model`` to ``xml`` and the .bin beside it, as it is.

    Raises:
        OSError: the disk is full.
        ConversionError: OpenVINO can't write it, or wrote less than all of it.
    """
    import openvino as ov

    with explained(xml):
        ov.save_model(model, xml, compress_to_fp16=False)
    check_whole(xml)


def check_whole(xml: Path) -> None:
    """Refuse an IR whose weights are missing or shorter than its XML states.

    Raises:
        ConversionError: naming the file.
    """
    try:
        size = xml.with_suffix(".bin").stat().st_size
        stored = (data for data in ET.parse(xml).iter("data") if data.get("size"))  # noqa: S314
        ends = (int(data.get("offset", 0)) + int(data.get("size", 0)) for data in stored)
        is_whole = size >= max(ends, default=0)
    except (OSError, ET.ParseError) as error:
        raise _failed(xml, str(error)) from error
    if not is_whole:
        raise _failed(xml, "it was cut short")


@contextmanager
def explained(path: Path, needed: int = _NEARLY_NOTHING) -> Iterator[None]:
    """Raise the system's error where the disk is full: OpenVINO's stream errors name no cause.

    ``needed`` bytes are what OpenVINO writes here at most.
    """
    try:
        yield
    except RuntimeError as error:
        if shutil.disk_usage(path.parent).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise _failed(path, str(error).splitlines()[-1]) from error


def _failed(path: Path, reason: str) -> ConversionError:
    return ConversionError(f"OpenVINO could not write '{path.name}' ({reason})", "try again")


def draft_bytes(layout: Layout) -> int:
    """What `write_xml` writes on its way, and removes: of placeholders of one size the first."""
    return sum({array.nbytes for array in layout.arrays()})


def write_graph(build: Callable[[PlaceholderWeights], Any], layout: Layout, folder: Path) -> None:
    """Write what ``build`` makes on placeholders into ``folder``, which holds the weights.

    Raises:
        OSError: the disk is full.
    """
    placeholders = PlaceholderWeights(layout)  # holds the memory of the graph's constants
    write_xml(build(placeholders), layout, folder / OPENVINO_MODEL, folder / OPENVINO_WEIGHTS)


def write_xml(model: Any, layout: Layout, xml: Path, weights: Path) -> None:
    """Serialize ``model`` (an ``ov.Model`` on placeholder weights) to ``xml``.

    The arrays of ``layout`` are in ``weights`` already; the graph's small constants, which
    OpenVINO serializes itself, are appended there.

    Raises:
        OSError: the disk is full.
    """
    import openvino as ov

    with tempfile.TemporaryDirectory(dir=xml.parent) as scratch:
        draft, constants = Path(scratch, "draft.xml"), Path(scratch, "draft.bin")
        with explained(xml, _NEARLY_NOTHING + draft_bytes(layout)):
            ov.serialize(model, draft, constants)
        tree = ET.parse(draft)  # noqa: S314 - OpenVINO wrote it just now
        for layer in tree.iter("layer"):  # numbered from 0, so that the same graph is the same file
            if _NUMBERED.fullmatch(layer.get("name", "")):
                layer.set("name", f"{layer.get('type')}_{layer.get('id')}")
        _point(tree, layout, constants, weights)
    tree.write(xml, encoding="utf-8", xml_declaration=True)


def _point(tree: Any, layout: Layout, constants: Path, weights: Path) -> None:
    arrays = {array.name: array for array in layout.arrays()}
    with constants.open("rb") as source, weights.open("ab") as target:
        for layer in tree.iter("layer"):
            if layer.get("type") != "Const":
                continue
            data = layer.find("data")
            array = arrays.get(layer.get("name"))
            if array is not None:
                data.set("offset", str(array.offset))
                continue
            source.seek(int(data.get("offset")))
            content = source.read(int(data.get("size")))
            data.set("offset", str(target.tell()))
            target.write(content)
