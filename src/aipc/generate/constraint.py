"""What an answer must be, by a JSON schema, made into what every runtime enforces.

The engines' grammar compilers pass over in silence what they do not know, or what stands
where they do not look for it (measured: `tests/generate/test_constraint.py`).  So that no
answer only seems to fit its schema, that is written otherwise here, or refused.
"""

from __future__ import annotations

import json
from typing import Any

from aipc.errors import UsageError
from aipc.generate.pattern import check_pattern
from aipc.generate.schema import Schema, check, list_of, subschemas
from aipc.runtimes.base import Constraint

MAX_COUNT = 4096
"""Largest minItems, maxItems or minLength."""
MAX_LENGTH = 256
"""Largest maxLength: compilers take time by its square (200: 2 s, 1,000: more than 40 s)."""
MAX_WORK = 2 * MAX_LENGTH**2
"""Sum of the squares of every maxLength and every pattern's repetitions."""

_ANNOTATIONS = frozenset(
    {
        "$comment",
        "$defs",
        "$id",
        "$schema",
        "default",
        "definitions",
        "deprecated",
        "description",
        "discriminator",
        "examples",
        "format",
        "readOnly",
        "title",
        "writeOnly",
    }
)
"""Keywords that forbid nothing ("format" by the standard's own default)."""
_OF_TYPE = {
    "object": frozenset({"additionalProperties", "properties", "required"}),
    "array": frozenset({"items", "maxItems", "minItems", "prefixItems"}),
    "string": frozenset({"maxLength", "minLength", "pattern"}),
    "integer": frozenset({"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"}),
}
_WITH_TYPE = frozenset({"const", "enum"})
"""No other keyword beside them is enforced, but for the type."""
_ALONE = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
"""No other keyword beside them is enforced."""
_ENFORCED = frozenset({"type"}).union(_WITH_TYPE, _ALONE, *_OF_TYPE.values())
_PYTHON = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def constrain(schema: Schema) -> Constraint:
    """What makes an answer fit ``schema``.

    Raises:
        UsageError: as `check`, or something that would not be enforced.
    """
    plain, work = check(schema), 0
    for node, place in subschemas(plain):
        where = f"at {place} of the schema"
        _check_known(node, where)
        _check_neighbours(node, where)
        _check_values(node, where)
        _complete_type(node, where)
        _check_bounds(node, where)
        _complete_array(node)
        _complete_properties(node, where)
        work += _check_counts(node, where)
    if work > MAX_WORK:
        raise UsageError(
            "the texts of the schema are too many and too long to be bounded",
            "leave some maxLength out, or make them smaller",
        )
    return Constraint("json_schema", json.dumps(plain, ensure_ascii=False))


def _check_known(node: dict[str, Any], where: str) -> None:
    unknown = node.keys() - _ANNOTATIONS - _ENFORCED
    if unknown:
        raise UsageError(
            f"'{min(unknown)}' {where} can't be enforced",
            f"leave it out; enforced are {', '.join(sorted(_ENFORCED))}",
        )
    if len(list_of(node, "allOf")) > 1:
        raise UsageError(
            f"'allOf' {where} has several parts, which can't all be enforced", "write them as one"
        )


def _check_neighbours(node: dict[str, Any], where: str) -> None:
    """Refuse keywords of which only one would be enforced."""
    strong = sorted(node.keys() & (_ALONE | _WITH_TYPE))
    beside = sorted(node.keys() & _ENFORCED - {"pattern"})
    if strong and strong[0] in _WITH_TYPE:
        beside = [keyword for keyword in beside if keyword != "type"]
    pairs = [(first, second) for first in strong for second in beside if first != second]
    lengths = node.keys() & {"minLength", "maxLength"}
    if "pattern" in node and (lengths or strong):
        pairs.append(("pattern", min(lengths or strong)))
    for first, second in pairs:
        raise UsageError(
            f"'{first}' and '{second}' {where} stand side by side, and only one of them would be "
            "enforced",
            "write both as one",
        )


def _check_values(node: dict[str, Any], where: str) -> None:
    """Refuse values that the type beside them forbids: compilers look at the values alone."""
    allowed = _types(node, where)
    values = [node["const"]] if "const" in node else list_of(node, "enum")
    for value in values if allowed else ():
        if not any(_is_of(value, name) for name in allowed):
            raise UsageError(
                f"{value!r:.40} {where} is not of the type {' or '.join(allowed)}",
                "leave out one of the two",
            )


def _types(node: dict[str, Any], where: str) -> list[str]:
    stated = node.get("type", [])
    names = stated if isinstance(stated, list) else [stated]
    for name in names:
        if not isinstance(name, str) or name not in _PYTHON:
            raise UsageError(f"no type is called {name!r:.40} {where}", f"use {', '.join(_PYTHON)}")
    return names


def _is_of(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _PYTHON[name])  # type: ignore[arg-type]


def _complete_type(node: dict[str, Any], where: str) -> None:
    """Say the type that keywords are meant for: without it they are passed over."""
    meant = [name for name, keywords in _OF_TYPE.items() if node.keys() & keywords]
    if "type" in node or not meant:
        return
    if len(meant) > 1 or meant == ["integer"]:
        keywords = sorted(node.keys() & frozenset().union(*_OF_TYPE.values()))
        raise UsageError(f"{', '.join(keywords)} {where} have no type beside them", "say the type")
    node["type"] = meant[0]


def _check_bounds(node: dict[str, Any], where: str) -> None:
    """Refuse what OpenVINO GenAI gets wrong: 0 to 1 allowed 1.4, and 1.5 allowed "1j5"."""
    bounds = node.keys() & _OF_TYPE["integer"]
    if bounds and "number" in _types(node, where):
        raise UsageError(
            f"'{min(bounds)}' {where} bounds a number, which can't be enforced",
            'use {"type": "integer"} or leave the bound out',
        )


def _check_counts(node: dict[str, Any], where: str) -> int:
    """Refuse what would take a compiler too long; how much it will have to do."""
    for keyword in ("minItems", "maxItems", "minLength", "maxLength"):
        count = node.get(keyword, 0)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise UsageError(f"'{keyword}' {where} is no count: {count!r:.40}")
        limit = MAX_LENGTH if keyword == "maxLength" else MAX_COUNT
        if count > limit:
            raise UsageError(f"'{keyword}' {where} is {count:,}", f"at most {limit:,} is allowed")
    repeats = check_pattern(node["pattern"], where) if "pattern" in node else 0
    return int(node.get("maxLength", 0) ** 2 + repeats**2)


def _complete_array(node: dict[str, Any]) -> None:
    """Allow any items where none are named: compilers refuse to count what they don't know."""
    if node.keys() & {"minItems", "maxItems"} and not node.keys() & {"items", "prefixItems"}:
        node["items"] = {}


def _complete_properties(node: dict[str, Any], where: str) -> None:
    """Name every required property among the properties: others are not asked for."""
    required = node.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise UsageError(f"'required' {where} is no list of names")
    others = node.get("additionalProperties", {})
    for name in required:
        if name in node.get("properties", {}):
            continue
        if others is False:
            raise UsageError(
                f"'{name}' {where} is required, but no property", "add it to the properties"
            )
        node.setdefault("properties", {})[name] = {} if others is True else others
