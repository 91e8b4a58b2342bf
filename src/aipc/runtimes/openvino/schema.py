"""What of JSON Schema OpenVINO GenAI enforces; the rest is refused, for it would be ignored.

xgrammar, which GenAI is built with, looks at one group of keywords a schema and leaves others
out without an error.  Source: github.com/mlc-ai/xgrammar, ``cpp/json_schema_converter.cc``
(``SchemaParser::Parse`` and the functions that it calls).  What it really lets through was tried
out with GenAI 2026.4.1, a network whose scores spell wrong answers standing in for a model: again
in `tests/runtimes/openvino/test_schema.py`.
"""

from __future__ import annotations

import json
import re
from operator import index
from typing import Any

from aipc.errors import UsageError
from aipc.runtimes.json_schema import (
    BOUNDS,
    NOTES,
    is_of,
    list_of,
    mapping_of,
    not_enforced,
    read_schema,
    required_of,
    subschemas,
    types_of,
    values_of,
)

_PIECE = re.compile(r"\\.?|\[(?:\\.|[^\]\\])*\]|\(\?.?|.", re.DOTALL)
_SIGN = re.compile(r"\\.|.", re.DOTALL)
_SAFE_ESCAPES = frozenset("dw^$.*+?()[]{}|/-")
_ESCAPED_IN_JSON = frozenset(('"', "\\", *map(chr, range(32))))
_OPENING = frozenset({"(", "(?:", "|"})
_CLOSING = frozenset({")", "|"})

WHOLE = ("$ref", "const", "enum", "anyOf", "allOf")
"""Each of these is all that is looked at in its schema, the first of them that is there."""
BY_TYPE = {
    "object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": BOUNDS,
    "number": set(),
    "boolean": set(),
    "null": set(),
}
"""Looked at beside a type alone.  Of a number no bounds: 0 to 1 let 1.457 through."""
FORMATS = frozenset(
    {"date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"}
)
LARGEST = 99
"""Bounds of more digits are not kept."""
MAX_VALUES = 1000
ENGINE = "OpenVINO GenAI"
_PLAIN = "[ !#-\\[\\]-\ud7ff\ue000-\U0010ffff]"
"""A character that stands in a JSON text as it is; repeated without end it lets others through."""
_REST = r'[^"\\\x00-\x1f]*'
FIX = "leave it out, write it another way, or choose --runtime onnx, which enforces more"


def risky_piece(pattern: str) -> str | None:
    """The first part of ``pattern`` that may match what JSON escapes, or that is not known.

    OpenVINO GenAI puts what a pattern matches between the quotes without escaping it (measured:
    `[^a-z]{3}` gave a quote and a line break, and the answer was no JSON).  So a part that may
    match a quote, a backslash or a control character is risky; so are an anchor in the middle,
    which GenAI passes over (`a^b` allowed "ab"), and alternatives without brackets, of which the
    quotes become part (`a|b` allowed `"a` and `b"`).
    """
    pieces: list[str] = _PIECE.findall(pattern)
    depth = 0
    for before, piece, after in zip(["|", *pieces], pieces, [*pieces[1:], "|"], strict=False):
        depth += (piece in {"(", "(?:"}) - (piece == ")")
        if (
            (piece == "|" and depth < 1)
            or (piece == "^" and before not in _OPENING)
            or (piece == "$" and after not in _CLOSING)
            or _is_risky(piece)
        ):
            return piece
    return None


def _is_risky(piece: str) -> bool:
    if piece.startswith("\\"):
        return piece[1:] not in _SAFE_ESCAPES
    if piece.startswith("(?"):
        return piece != "(?:"
    if len(piece) > 1:
        return _is_risky_class(piece[1:-1])
    return piece in _ESCAPED_IN_JSON or piece in {".", "["}


def _is_risky_class(inner: str) -> bool:
    signs = _SIGN.findall(inner)
    ranges = zip(signs, signs[1:], signs[2:], strict=False)
    return (
        inner.startswith("^")
        or any(_is_risky(sign) for sign in signs if sign not in {".", "["})
        or any(
            dash == "-" and any(first[-1] <= sign <= last[-1] for sign in '"\\')
            for first, dash, last in ranges
        )
    )


def check_schema(text: str) -> None:
    """Refuse what would not be enforced, or is no schema.

    Raises:
        UsageError: naming the keyword and where it is, as a JSON pointer.
    """
    try:
        for node, pointer in subschemas(read_schema(text)):
            _check_node(node, pointer)
    except (TypeError, AttributeError) as error:
        raise UsageError(f"the schema is malformed ({error})", "see json-schema.org") from error


def written(text: str) -> str:
    """A checked schema as xgrammar keeps to it: lengths as a pattern, some integers one by one.

    As lengths they let control characters through, which JSON has not, and what is no Unicode.
    """
    schema = read_schema(text)
    for node, _ in subschemas(schema):
        _write_lengths(node)
        values = _values(node)
        if values and not _is_kept(values[0], values[-1]):
            for keyword in node.keys() & BOUNDS:
                del node[keyword]
            node["enum"] = values
    return json.dumps(schema, ensure_ascii=False)


def _write_lengths(node: dict[str, Any]) -> None:
    least, most = node.pop("minLength", 0), node.pop("maxLength", None)
    if most is not None:
        node["pattern"] = f"{_PLAIN}{{{least},{most}}}"
    elif least:
        node["pattern"] = f"{_PLAIN}{{{least}}}{_REST}"


def _check_node(node: dict[str, Any], pointer: str) -> None:
    keywords = node.keys() - NOTES
    whole = next((keyword for keyword in WHOLE if keyword in keywords), None)
    if whole is not None:
        _check_whole(node, whole, pointer)
        return
    types = types_of(node, pointer)
    beside = f"beside type {' or '.join(types)}" if types else "without a type"
    for keyword in sorted(keywords - {"type"}.union(*(BY_TYPE[each] for each in types))):
        raise _refused(f"'{keyword}' {beside}", pointer)
    _check_bounds(node, types, pointer)
    _check_string(node, pointer)
    _check_object(node, pointer)


def _check_whole(node: dict[str, Any], keyword: str, pointer: str) -> None:
    others = node.keys() - NOTES - {keyword}
    if keyword in {"const", "enum"}:
        _check_values(node, pointer)
        others -= {"type"}
    for other in sorted(others):
        raise _refused(f"'{other}' beside '{keyword}'", pointer)
    if keyword == "$ref" and not node["$ref"].startswith("#"):
        raise _refused(f"'$ref' to another document ({node['$ref']})", pointer)
    if keyword == "allOf" and len(list_of(node, "allOf")) != 1:
        raise _refused("'allOf' with more than one part", pointer)


def _check_values(node: dict[str, Any], pointer: str) -> None:
    """A type beside values is not looked at: none may be of another."""
    types = types_of(node, pointer)
    for value in values_of(node) or () if types else ():
        if not any(is_of(value, each) for each in types):
            raise _refused(
                f"{value!r:.40}, which is not of the type {' or '.join(types)},", pointer
            )


def _check_bounds(node: dict[str, Any], types: list[str], pointer: str) -> None:
    """Bounds of an integer: those that are kept, or that `written` lists the values of."""
    bounds = sorted(node.keys() & BOUNDS)
    if bounds and "number" in types:
        raise _refused(f"'{bounds[0]}' of a number", pointer)
    for first, second in ("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"):
        if first in bounds and second in bounds:
            raise _refused(f"'{second}' beside '{first}'", pointer)
    least, most = _range(node)
    if not bounds or _is_kept(least, most) or _values(node):
        return
    if least is None or most is None:
        raise _refused(
            f"'{bounds[0]}' without a bound on the other side", pointer, "bound it on both sides"
        )
    far = f"at most {MAX_VALUES:,} values apart, or between -99 and 99"
    raise _refused(f"'{bounds[0]}' so far from the other bound", pointer, far)


def _range(node: dict[str, Any]) -> tuple[int | None, int | None]:
    """The least and the greatest integer that it allows."""
    least, most = node.get("minimum"), node.get("maximum")
    if "exclusiveMinimum" in node:
        least = index(node["exclusiveMinimum"]) + 1
    if "exclusiveMaximum" in node:
        most = index(node["exclusiveMaximum"]) - 1
    return (least if least is None else index(least)), (most if most is None else index(most))


def _is_kept(least: int | None, most: int | None) -> bool:
    """Measured: from 2 on let 1 through, from -3 on a lone "-", 4 to 154 let 155 through."""
    if least is None:
        return most is not None and -1 <= most <= LARGEST
    if most is None:
        return least in {0, 1} or 10 <= least <= LARGEST
    return least >= -LARGEST and most <= LARGEST


def _values(node: dict[str, Any]) -> list[int]:
    """The integers that a schema allows, where it bounds them and they are few."""
    if node.get("type") != "integer" or not node.keys() & BOUNDS:
        return []
    least, most = _range(node)
    if least is None or most is None or most - least >= MAX_VALUES:
        return []
    return list(range(least, most + 1))


def _check_string(node: dict[str, Any], pointer: str) -> None:
    """Of format, pattern and the lengths, one is looked at."""
    groups = ("format" in node) + ("pattern" in node)
    groups += "minLength" in node or "maxLength" in node
    if groups > 1:
        raise _refused("format, pattern and lengths together", pointer)
    if node.get("format", "date") not in FORMATS:
        known = f"known are {', '.join(sorted(FORMATS))}"
        raise _refused(f"'format' {node['format']!r:.40}", pointer, known)
    piece = risky_piece(node.get("pattern", ""))
    if piece is not None:
        raise _refused(
            f"'{piece}' in the pattern",
            pointer,
            r"list the characters that may stand there, as in [a-z0-9 ]; \d and \w are known too, "
            "and ^ and $ at the ends; put alternatives in ()",
        )


def _check_object(node: dict[str, Any], pointer: str) -> None:
    """A property that is named may come again among the additional ones."""
    properties = mapping_of(node, "properties")
    for name in required_of(node, pointer):
        if name not in properties:
            raise _refused(f"'required' for '{name}', which is not among the properties,", pointer)
    others = node.get("additionalProperties", False)
    if others is not False and any(each not in (others, True, {}) for each in properties.values()):
        raise _refused(
            "'additionalProperties' beside 'properties'", pointer, "leave one out, or say false"
        )


def _refused(what: str, pointer: str, fix: str = FIX) -> UsageError:
    return not_enforced(what, pointer, ENGINE, fix)
