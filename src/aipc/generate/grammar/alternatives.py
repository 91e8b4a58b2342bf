"""Whether the parts of a ``oneOf`` exclude one another: then it is an ``anyOf``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from aipc.runtimes.json_schema import mapping_of, required_of, resolve, types_of, values_of

MAX_PARTS = 300
"""Each is compared with each."""

_Values = frozenset[str]


@dataclass(frozen=True)
class _Part:
    """What is known of the values that a part allows; None where they may be any."""

    types: frozenset[str] | None
    values: _Values | None
    tags: Mapping[str, _Values]
    """Of an object: the values of the properties that are always there."""
    names: frozenset[str] | None = None
    """Of an object: all properties that it may have."""
    required: frozenset[str] = frozenset()

    def excludes(self, other: _Part) -> bool:
        return (
            _are_apart(self.types, other.types)
            or _are_apart(self.values, other.values)
            or self._lacks(other)
            or other._lacks(self)
            or any(
                _are_apart(self.tags[name], other.tags[name])
                for name in self.tags.keys() & other.tags.keys()
            )
        )

    def _lacks(self, other: _Part) -> bool:
        """Whether it has no place for a property that the other one requires."""
        return self.names is not None and not other.required <= self.names


class Alternatives:
    """The ``oneOf`` of one checked schema."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._parts: dict[int, _Part] = {}

    def are_apart(self, schemas: Sequence[Any]) -> bool:
        """Whether no value fits two of them, as far as is known."""
        if len(schemas) > MAX_PARTS:
            return False
        parts = [self._part(each) for each in schemas]
        return all(a.excludes(b) for a, b in combinations(parts, 2))

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
        values = _values(schema)
        if types != {"object"}:
            return _Part(types or None, values, {})
        is_closed = (
            schema.get("additionalProperties") is False and "patternProperties" not in schema
        )
        names = frozenset(mapping_of(schema, "properties")) if is_closed else None
        required = frozenset(required_of(schema, "a part of 'oneOf'"))
        return _Part(types, values, self._tags(schema), names, required)

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
