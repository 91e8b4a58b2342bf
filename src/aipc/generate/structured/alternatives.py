"""``oneOf`` as ``anyOf`` where no value fits two of its parts: then the two mean the same.

Of the engines one takes every ``oneOf`` for an ``anyOf``, and the other refuses most.  Those whose
parts may meet are refused here: a type that is filled into one part would widen the whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from aipc.errors import UsageError
from aipc.generate.structured.schema import check_limit, resolve
from aipc.runtimes.json_schema import mapping_of, required_of, subschemas, types_of, values_of

MAX_PARTS = 32
"""Each is compared with each."""

_Values = frozenset[str]


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
    """Write every ``oneOf`` of a checked schema as ``anyOf``.

    Raises:
        UsageError: its parts do not exclude one another, as far as can be told.
    """
    alternatives = _Alternatives(schema)
    for node, place in subschemas(schema):
        if "oneOf" in node:
            alternatives.rewrite(node, place)


class _Alternatives:
    """The ``oneOf`` of one checked schema."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._parts: dict[int, _Part] = {}

    def rewrite(self, node: dict[str, Any], place: str) -> None:
        check_limit(f"'oneOf' at {place} of the schema", len(node["oneOf"]), MAX_PARTS, "parts")
        parts = [self._part(each) for each in node["oneOf"]]
        if "anyOf" in node or not all(a.excludes(b) for a, b in combinations(parts, 2)):
            raise UsageError(
                f"'oneOf' at {place} of the schema has parts that one value may fit together",
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
