"""What an answer must be, by a JSON schema: held to limits and written so that engines know it.

What a schema implies is written into it, because engines do not look for it everywhere.  What an
engine does not enforce in spite of that is refused by its runtime, which alone knows it
(`aipc.runtimes.openvino.schema`, `aipc.runtimes.onnx.guided`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from aipc.errors import UsageError
from aipc.generate.structured.schema import Schema, check, check_limit, check_pattern, resolve
from aipc.runtimes.base import Constraint
from aipc.runtimes.json_schema import mapping_of, required_of, subschemas, types_of, values_of

MAX_PARTS = 32
"""Each is compared with each."""

_Values = frozenset[str]

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


@dataclass(frozen=True)
class _Part:
    """What is known of the values that a part allows; None where they may be any."""

    types: frozenset[str] | None
    values: _Values | None
    tags: Mapping[str, _Values]
    """Of an object: the values of the properties that are always there."""

    def excludes(self, other: _Part) -> bool:
        return (
            _are_apart(self.types, other.types)
            or _are_apart(self.values, other.values)
            or any(
                _are_apart(self.tags[name], other.tags[name])
                for name in self.tags.keys() & other.tags.keys()
            )
        )


def write_alternatives(schema: dict[str, Any]) -> None:
    """Write every ``oneOf`` of a checked schema as ``anyOf``, where the two mean the same.

    They do where no value fits two of its parts.  Of the engines one takes every ``oneOf`` for an
    ``anyOf``, and the other refuses most.  Those whose parts may meet are refused here: a type
    that is filled into one part would widen the whole.

    Raises:
        UsageError: its parts do not exclude one another, as far as is known.
    """
    alternatives = _Alternatives(schema)
    for node, pointer in subschemas(schema):
        if "oneOf" in node:
            alternatives.rewrite(node, pointer)


class _Alternatives:
    """The ``oneOf`` of one checked schema."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._parts: dict[int, _Part] = {}

    def rewrite(self, node: dict[str, Any], pointer: str) -> None:
        check_limit(f"'oneOf' at {pointer} of the schema", len(node["oneOf"]), MAX_PARTS, "parts")
        parts = [self._part(each) for each in node["oneOf"]]
        if "anyOf" in node or not all(a.excludes(b) for a, b in combinations(parts, 2)):
            raise UsageError(
                f"'oneOf' at {pointer} of the schema has parts that one value may fit together",
                "use anyOf, or tell them apart by a type, a const or a required property with one",
            )
        node["anyOf"] = node.pop("oneOf")

    def _part(self, schema: Any) -> _Part:
        schema = self._resolved(schema)
        if id(schema) not in self._parts:
            self._parts[id(schema)] = self._read(schema)
        return self._parts[id(schema)]

    def _read(self, schema: Any) -> _Part:
        if not isinstance(schema, dict):
            return _Part(None, None, {})
        types = frozenset(types_of(schema, "a part of 'oneOf'"))
        if "number" in types:
            types |= {"integer"}
        tags = self._tags(schema) if types == {"object"} else {}
        return _Part(types or None, _values(schema), tags)

    def _tags(self, schema: dict[str, Any]) -> dict[str, _Values]:
        properties = mapping_of(schema, "properties")
        required = [name for name in required_of(schema, "a part of 'oneOf'") if name in properties]
        values = {name: _values(self._resolved(properties[name])) for name in required}
        return {name: each for name, each in values.items() if each is not None}

    def _resolved(self, schema: Any) -> Any:
        """What is defined elsewhere; what stands beside a reference could only narrow it."""
        while isinstance(schema, dict) and "$ref" in schema:
            schema = resolve(self._root, schema["$ref"])
        return schema


def _values(schema: Any) -> _Values | None:
    """The values as JSON with one way to write each: 1.0 is 1."""
    listed = values_of(schema) if isinstance(schema, dict) else None
    return None if listed is None else frozenset(json.dumps(_plain(each)) for each in listed)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _are_apart(first: frozenset[str] | None, second: frozenset[str] | None) -> bool:
    return first is not None and second is not None and first.isdisjoint(second)


def constrain(schema: Schema) -> Constraint:
    """What makes an answer fit ``schema``.

    Raises:
        UsageError: as `check`, a count beyond a limit, a oneOf whose parts may meet, or
            keywords of no clear meaning.
    """
    plain, work = check(schema), 0
    write_alternatives(plain)
    for node, pointer in subschemas(plain):
        _complete_type(node, pointer)
        _complete_counted(node)
        _complete_properties(node, pointer)
        work += _check_counts(node, f"at {pointer} of the schema")
    if work > MAX_WORK:
        raise UsageError(
            "the texts of the schema are too many and too long to be bounded",
            "leave some maxLength out, or make them smaller",
        )
    return Constraint("json_schema", json.dumps(plain, ensure_ascii=False))


def _complete_type(node: dict[str, Any], pointer: str) -> None:
    """Say the type that keywords are meant for: without it they are passed over."""
    meant = [name for name, keywords in _MEANT.items() if node.keys() & keywords]
    if types_of(node, pointer) or not meant or node.keys() & _COMPLETE:
        return
    if len(meant) > 1:
        keywords = sorted(node.keys() & frozenset().union(*_MEANT.values()))
        raise UsageError(
            f"{', '.join(keywords)} at {pointer} of the schema have no type beside them",
            "say the type",
        )
    node["type"] = meant[0]


def _complete_counted(node: dict[str, Any]) -> None:
    """Allow anything where nothing is named: compilers refuse to count what they don't know."""
    if node.keys() & {"minItems", "maxItems"} and not node.keys() & {"items", "prefixItems"}:
        node["items"] = {}
    if node.keys() & {"minProperties", "maxProperties"} and "properties" not in node:
        node.setdefault("additionalProperties", {})


def _complete_properties(node: dict[str, Any], pointer: str) -> None:
    """Name every required property among the properties: others are not requested."""
    others = node.get("additionalProperties", {})
    for name in required_of(node, pointer):
        if name in node.get("properties", {}):
            continue
        if others is False:
            raise UsageError(
                f"'{name}' at {pointer} of the schema is required, but no property",
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
