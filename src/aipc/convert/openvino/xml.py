"""Write a graph's XML so that its constants point into our own weights file."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from aipc.convert.layout import Layout
from aipc.convert.openvino.file import explained

_NUMBERED = re.compile(r"[A-Za-z]+_\d+")


def write_xml(model: Any, layout: Layout, xml: Path, weights: Path) -> None:
    """Serialize ``model`` (an ``ov.Model`` on placeholder weights) to ``xml``.

    The arrays of ``layout`` lie in ``weights`` already; the graph's small constants, which
    OpenVINO serializes itself, are appended there.

    Raises:
        OSError: the disk is full.
    """
    import openvino as ov

    with tempfile.TemporaryDirectory(dir=xml.parent) as scratch:
        draft, constants = Path(scratch, "draft.xml"), Path(scratch, "draft.bin")
        with explained(xml):
            ov.serialize(model, draft, constants)
        tree = ET.parse(draft)  # noqa: S314 - OpenVINO wrote it a moment ago
        _rename(tree)
        _point(tree, layout, constants, weights)
    tree.write(xml, encoding="utf-8", xml_declaration=True)


def _rename(tree: Any) -> None:
    """Number OpenVINO's own node names from 0, so that the same graph is the same file."""
    for layer in tree.iter("layer"):
        if _NUMBERED.fullmatch(layer.get("name")):
            layer.set("name", f"{layer.get('type')}_{layer.get('id')}")


def _point(tree: Any, layout: Layout, constants: Path, weights: Path) -> None:
    places = {array.name: array for array in layout.arrays()}
    with constants.open("rb") as source, weights.open("ab") as target:
        for layer in tree.iter("layer"):
            if layer.get("type") != "Const":
                continue
            data = layer.find("data")
            array = places.get(layer.get("name"))
            if array is not None:
                data.set("offset", str(array.offset))
                continue
            source.seek(int(data.get("offset")))
            content = source.read(int(data.get("size")))
            data.set("offset", str(target.tell()))
            target.write(content)
