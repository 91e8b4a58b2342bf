"""What an answer must be, by a JSON schema: held to limits and written so that engines know it.

What a schema leaves to be understood is said in it, for engines do not look for it everywhere.
What an engine does not enforce in spite of that its runtime refuses, which alone knows it
(`aipc.runtimes.openvino.schema`, `aipc.runtimes.onnx.guided`).
"""

from __future__ import annotations

import json
from typing import Any

from aipc.errors import UsageError
from aipc.generate.structured.alternatives import write_alternatives
from aipc.generate.structured.schema import Schema, check, check_pattern
from aipc.runtimes.base import Constraint
from aipc.runtimes.json_schema import required_of, subschemas, types_of

MAX_COUNT = 4096
"""Largest count in a schema, but for maxLength."""
MAX_LENGTH = 256
"""Largest maxLength: compilers take time by its square (200: 2 s, 1,000: more than 40 s)."""
MAX_WORK = 2 * MAX_LENGTH**2
"""Sum of the squares of every maxLength and every pattern's repetitions."""

_COUNTS = ("minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength")
_MEANT = {
    "object": frozenset(
        {"additionalProperties", "maxProperties", "minProperties", "properties", "required"}
    ),
    "array": frozenset({"items", "maxItems", "minItems", "prefixItems"}),
    "string": frozenset({"format", "maxLength", "minLength", "pattern"}),
}
"""The type that keywords are about."""
_COMPLETE = frozenset({"$ref", "allOf", "anyOf", "const", "enum", "oneOf"})
"""Beside these no type is missing."""


def constrain(schema: Schema) -> Constraint:
    """What makes an answer fit ``schema``.

    Raises:
        UsageError: as `check`, a count beyond a limit, a oneOf whose parts may meet, or
            keywords of no clear meaning.
    """
    plain, work = check(schema), 0
    write_alternatives(plain)
    for node, place in subschemas(plain):
        _complete_type(node, place)
        _complete_counted(node)
        _complete_properties(node, place)
        work += _check_counts(node, f"at {place} of the schema")
    if work > MAX_WORK:
        raise UsageError(
            "the texts of the schema are too many and too long to be bounded",
            "leave some maxLength out, or make them smaller",
        )
    return Constraint("json_schema", json.dumps(plain, ensure_ascii=False))


def _complete_type(node: dict[str, Any], place: str) -> None:
    """Say the type that keywords are meant for: without it they are passed over."""
    meant = [name for name, keywords in _MEANT.items() if node.keys() & keywords]
    if types_of(node, place) or not meant or node.keys() & _COMPLETE:
        return
    if len(meant) > 1:
        keywords = sorted(node.keys() & frozenset().union(*_MEANT.values()))
        raise UsageError(
            f"{', '.join(keywords)} at {place} of the schema have no type beside them",
            "say the type",
        )
    node["type"] = meant[0]


def _complete_counted(node: dict[str, Any]) -> None:
    """Allow anything where nothing is named: compilers refuse to count what they don't know."""
    if node.keys() & {"minItems", "maxItems"} and not node.keys() & {"items", "prefixItems"}:
        node["items"] = {}
    if node.keys() & {"minProperties", "maxProperties"} and "properties" not in node:
        node.setdefault("additionalProperties", {})


def _complete_properties(node: dict[str, Any], place: str) -> None:
    """Name every required property among the properties: others are not requested."""
    others = node.get("additionalProperties", {})
    for name in required_of(node, place):
        if name in node.get("properties", {}):
            continue
        if others is False:
            raise UsageError(
                f"'{name}' at {place} of the schema is required, but no property",
                "add it to the properties",
            )
        node.setdefault("properties", {})[name] = {} if others is True else others


def _check_counts(node: dict[str, Any], where: str) -> int:
    """Refuse what would take a compiler too long; how much it will have to do."""
    for keyword in _COUNTS:
        count = node.get(keyword, 0)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise UsageError(f"'{keyword}' {where} is no count: {count!r:.40}")
        limit = MAX_LENGTH if keyword == "maxLength" else MAX_COUNT
        if count > limit:
            raise UsageError(f"'{keyword}' {where} is {count:,}", f"at most {limit:,} is allowed")
    repeats = check_pattern(node["pattern"], where) if "pattern" in node else 0
    return int(node.get("maxLength", 0) ** 2 + repeats**2)
