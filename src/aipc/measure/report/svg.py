"""matplotlib's SVG made fit for a page: themed, named for those who hear it, without styles.

A page whose security policy allows no inline styles still shows it, because every property becomes
a presentation attribute.  Colors keep their light value there, and get a class for each role of
`report_palette`, which a style sheet can turn dark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from aipc.measure.report.palette import file_rules, role_of

_DROPPED = ("metadata", "style")
_ADDRESS = re.compile(r"url\(#([^)]+)\)")


def themed(svg: str, name: str, title: str, about: str, *, is_file: bool = False) -> str:
    """The picture as one element, its ids beginning with ``name``.

    ``title`` and ``about`` are read out by a screen reader.  ``is_file``: it also carries the rules
    that make it follow the system's light or dark.
    """
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib's own output
    _strip(root)
    used = set(_referred(root))
    for element in root.iter():
        _attributes(element)
        _rename(element, name, used)
    _frame(root, name, title, about)
    if is_file:
        rules = ET.Element("style")
        rules.text = file_rules()
        root.insert(0, rules)
    else:  # the page says how large
        del root.attrib["width"], root.attrib["height"]
    return ET.tostring(root, encoding="unicode")


def _strip(root: ET.Element) -> None:
    """Drop what is not drawn, and the namespaces of the names."""
    for parent in list(root.iter()):
        for child in list(parent):
            if _plain(child.tag) in _DROPPED:
                parent.remove(child)
    for element in root.iter():
        element.tag = _plain(element.tag)
        if element.tag != "text":
            element.text = None
        element.tail = None
        for key in [key for key in element.attrib if key.startswith("{")]:
            element.set(_plain(key), element.attrib.pop(key))


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2]


def _attributes(element: ET.Element) -> None:
    """Style declarations as attributes, and a class for each color."""
    classes = []
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if not key or key == "font-family":
            continue
        role = role_of(value)
        if role is not None:
            classes.append(f"{key[0]}-{role}")
        element.set(key, value.removesuffix("px"))
    if classes:
        element.set("class", " ".join(classes))


def _referred(root: ET.Element) -> Iterator[str]:
    for element in root.iter():
        yield element.get("href", "").removeprefix("#")
        for value in element.attrib.values():
            yield from _ADDRESS.findall(value)


def _rename(element: ET.Element, name: str, used: set[str]) -> None:
    """Ids that are unique on a page; those that nothing refers to are left out."""
    own = element.attrib.pop("id", "")
    if own in used:
        element.set("id", f"{name}-{own}")
    if "href" in element.attrib:
        element.set("href", f"#{name}-{element.attrib['href'].removeprefix('#')}")
    for key, value in element.attrib.items():
        element.set(key, _ADDRESS.sub(rf"url(#{name}-\1)", value))


def _frame(root: ET.Element, name: str, title: str, about: str) -> None:
    root.attrib.pop("version", None)
    root.set("xmlns", "http://www.w3.org/2000/svg")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-about")
    root.set(
        "font-family", "system-ui, 'Segoe UI', 'Helvetica Neue', 'Liberation Sans', sans-serif"
    )
    root.set("stroke-linejoin", "round")
    for at, (tag, text) in enumerate((("title", title), ("desc", about))):
        told = ET.Element(tag, {"id": f"{name}-{tag.replace('desc', 'about')}"})
        told.text = text
        root.insert(at, told)
