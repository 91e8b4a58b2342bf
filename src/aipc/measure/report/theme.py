"""How a report's pictures look: colors by role, for light and dark; matplotlib's settings; SVG.

The first colors are those of the web page (serve/page/style.css).  Pictures never distinguish
participants by color alone: lines have their dashes, points their markers, bars their names.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree as ET

from aipc import remedies
from aipc.errors import MeasurementError

ROLES: dict[str, tuple[str, str]] = {
    "raised": ("#fffefb", "#1b221f"),
    "ink": ("#1c2420", "#e4e9e4"),
    "soft": ("#56615b", "#a2aea7"),
    "hair": ("#dcd8cb", "#2b3531"),
    "edge": ("#858c85", "#6d7a73"),
    "one": ("#0d6656", "#74cfba"),
    "two": ("#b3500f", "#f0a76a"),
    "three": ("#4b4aa6", "#a9a8f5"),
    "four": ("#9c2a68", "#f09cc6"),
    "five": ("#1f6a9e", "#84c4f0"),
    "six": ("#6b5a2c", "#d2bf85"),
}
"""Role → (light, dark); no two roles have the same light value."""
PARTICIPANTS = ("one", "two", "three", "four", "five", "six")
_ROLE_OF = {light: role for role, (light, _) in ROLES.items()}

_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 1.6, 1.2, 1.6)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DROPPED = ("metadata", "style")
_ADDRESS = re.compile(r"url\(#([^)]+)\)")


def light(role: str) -> str:
    return ROLES[role][0]


def role_of(color: str) -> str | None:
    """The role that has this value in light."""
    return _ROLE_OF.get(color.lower())


def page_rules() -> str:
    """CSS for a page that sets ``color-scheme``: a variable and two classes a role."""
    variables = "".join(
        f"--{role}:light-dark({one},{other});" for role, (one, other) in ROLES.items()
    )
    return f":root{{{variables}}}\n{_classes(lambda role: f'var(--{role})')}"


def file_rules() -> str:
    """CSS for an SVG file of its own: its attributes are light, this is the dark of it."""
    return f"@media (prefers-color-scheme:dark){{{_classes(lambda role: ROLES[role][1])}}}"


def _classes(color: Callable[[str], str]) -> str:
    rules = (f".f-{role}{{fill:{color(role)}}}.s-{role}{{stroke:{color(role)}}}" for role in ROLES)
    return "".join(rules)


@contextmanager
def style() -> Iterator[None]:
    """What matplotlib draws within is in the report's style.

    Raises:
        MeasurementError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MeasurementError(
            "the pictures need matplotlib, which is not installed", remedies.add_extra("report")
        ) from error
    settings = {
        "axes.edgecolor": light("edge"),
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.labelcolor": light("soft"),
        "axes.labelsize": 9.5,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": light("soft"),
        "axes.titlelocation": "left",
        "axes.titlesize": 9.5,
        "figure.facecolor": light("raised"),
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "grid.color": light("hair"),
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.labelcolor": light("ink"),
        "lines.linewidth": 1.9,
        "savefig.facecolor": "auto",
        "svg.fonttype": "none",
        "svg.hashsalt": "aipc",
        "text.color": light("ink"),
        "text.parse_math": False,
        "xtick.color": light("edge"),
        "xtick.labelcolor": light("soft"),
        "ytick.color": light("edge"),
        "ytick.labelcolor": light("soft"),
    }
    with mpl.rc_context({"backend": "agg", **settings}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # in a PNG; it gets a box
        yield


def color_of(number: int) -> str:
    """Of the participant of that number, in light."""
    return light(PARTICIPANTS[number % len(PARTICIPANTS)])


def dashes_of(number: int) -> Any:
    """A line's, as matplotlib takes them."""
    return _DASHES[number % len(_DASHES)]


def marker_of(number: int) -> str:
    return _MARKERS[number % len(_MARKERS)]


def themed(svg: str, name: str, title: str, about: str, *, is_file: bool = False) -> str:
    """Matplotlib's SVG made fit for a page: one element, its ids beginning with ``name``.

    A page whose security policy allows no inline styles still shows it, because every property
    becomes a presentation attribute.  Colors keep their light value there, and get a class for
    each role of the palette, which a style sheet can turn dark.

    ``title`` and ``about`` are read out by a screen reader.  ``is_file``: it also carries the rules
    that make it follow the system's light or dark.
    """
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib's own output
    _strip(root)
    used = {element.get("href", "").removeprefix("#") for element in root.iter()}
    values = (value for element in root.iter() for value in element.attrib.values())
    used.update(found for value in values for found in _ADDRESS.findall(value))
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
        element = ET.Element(tag, {"id": f"{name}-{tag.replace('desc', 'about')}"})
        element.text = text
        root.insert(at, element)
