"""Schemas that hold together, taken apart into cases without references and alternatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from aipc.errors import UsageError
from aipc.runtimes.json_schema import KNOWN, TYPES, list_of, mapping_of, resolve, values_of

MAX_CASES = 512
_MAX_DEPENDENT = 5

Case = tuple[dict[str, Any], ...]
"""Of these the keywords for one place hold together; none has alternatives or references."""
_TAKEN_APART = frozenset(
    {"$ref", "allOf", "anyOf", "oneOf", "if", "then", "else"}
    | {"dependentRequired", "dependentSchemas"}
)


class Cases:
    """The cases of one checked schema."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root

    def of(self, schemas: Sequence[Any]) -> list[Case]:
        """What a value may be, that fits all of ``schemas``: any of these.

        Raises:
            UsageError: there are too many.
        """
        return self._of(list(schemas), MAX_CASES)

    def target(self, schema: Any) -> Any:
        """What a schema that is nothing but a reference refers to, at last."""
        while isinstance(schema, dict) and "$ref" in schema and schema.keys() & KNOWN == {"$ref"}:
            schema = resolve(self._root, schema["$ref"])
        return schema

    def _of(self, pending: list[Any], room: int) -> list[Case]:
        flat: list[dict[str, Any]] = []
        choices: list[list[list[Any]]] = []
        seen: set[int] = set()
        while pending:
            schema = pending.pop(0)
            if schema is False:
                return []
            if schema is True or id(schema) in seen:
                continue
            seen.add(id(schema))
            if "$ref" in schema:
                pending.append(resolve(self._root, schema["$ref"]))
            pending += list_of(schema, "allOf")
            choices += _choices(schema)
            negated = _negated(schema["not"]) if "not" in schema else None
            if negated is not None:
                choices.append([[each] for each in negated])
            if schema.keys() & (KNOWN - _TAKEN_APART):
                flat.append(schema)
        return self._product(flat, choices, room)

    def _product(
        self, flat: list[dict[str, Any]], choices: list[list[list[Any]]], room: int
    ) -> list[Case]:
        if not choices:
            return [tuple(flat)]
        found: list[Case] = []
        for taken in product(*choices):
            found += self._of([*flat_only(flat), *(each for part in taken for each in part)], room)
            if len(found) > room:
                raise UsageError(
                    "the schema has too many alternatives that hold together",
                    "put fewer anyOf, oneOf and if side by side",
                )
        return found


def flat_only(nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The schemas without what was taken apart already."""
    return [
        node
        if not node.keys() & (_TAKEN_APART | {"not"})
        else {
            keyword: value
            for keyword, value in node.items()
            if keyword not in _TAKEN_APART and (keyword != "not" or _negated(value) is None)
        }
        for node in nodes
    ]


def _choices(schema: dict[str, Any]) -> list[list[list[Any]]]:
    choices = [
        [[part] for part in list_of(schema, keyword)]
        for keyword in ("anyOf", "oneOf")
        if keyword in schema
    ]
    if "if" in schema:
        negated = _negated(schema["if"])
        choices.append(
            [[schema["if"], schema.get("then", True)]]
            + [[each, schema.get("else", True)] for each in negated or ()]
        )
    dependent = {
        **mapping_of(schema, "dependentSchemas"),
        **mapping_of(schema, "dependentRequired"),
    }
    for name, needed in list(dependent.items())[:_MAX_DEPENDENT]:
        then = {"required": [name, *needed]} if isinstance(needed, list) else needed
        absent = {"type": "object", "properties": {name: False}}
        choices.append([[absent], [{"type": "object", "required": [name]}, then]])
    return choices


def is_taken_apart(schema: dict[str, Any]) -> str | None:
    """The keyword whose meaning is not kept whole by `Cases`, if there is one."""
    is_known = values_of_not(schema) is not None or pattern_of_not(schema) is not None
    if "not" in schema and not is_known and _negated(schema["not"]) is None:
        return "not"
    if "if" in schema and "else" in schema and _negated(schema["if"]) is None:
        return "else"
    dependent = ("dependentSchemas", "dependentRequired")
    if sum(len(mapping_of(schema, keyword)) for keyword in dependent) > _MAX_DEPENDENT:
        return "dependentRequired"
    return None


def values_of_not(schema: Mapping[str, Any]) -> list[Any] | None:
    """The values that ``not`` leaves out, where it lists them and nothing else."""
    inner = schema.get("not")
    if isinstance(inner, dict) and inner.keys() & KNOWN <= {"const", "enum", "type"}:
        return values_of(inner)
    return None


def pattern_of_not(schema: Mapping[str, Any]) -> Any:
    """The pattern that ``not`` keeps out, where it has nothing else."""
    inner = schema.get("not")
    is_pattern = isinstance(inner, dict) and inner.keys() & KNOWN == {"pattern"}
    return inner["pattern"] if is_pattern and isinstance(inner, dict) else None


def _negated(schema: Any) -> list[Any] | None:
    """Schemas of which one fits what ``schema`` does not; None where that can't be said."""
    if isinstance(schema, bool):
        return [not schema]
    keywords = schema.keys() & KNOWN
    if not keywords:
        return [False]
    if keywords == {"type"}:
        stated = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        left = [name for name in TYPES if name not in stated]
        if "number" in stated and "integer" in left:
            left.remove("integer")
        return [{"type": left}] if left and "integer" not in stated else [False]
    if keywords == {"anyOf"}:
        inner = [_negated(part) for part in schema["anyOf"]]
        single = [each[0] for each in inner if each is not None and len(each) == 1]
        return [{"allOf": single}] if len(single) == len(inner) else None
    if keywords <= {"properties", "required", "type"}:
        return _negated_object(schema)
    return None


def _negated_object(schema: dict[str, Any]) -> list[Any] | None:
    required = schema.get("required", [])
    found: list[Any] = [{"type": "object", "properties": {name: False}} for name in required]
    for name, inner in mapping_of(schema, "properties").items():
        if not isinstance(inner, dict) or not inner.keys() & KNOWN <= {"const", "enum", "type"}:
            return None
        if values_of(inner) is None:
            return None
        other = {"not": inner}
        found.append({"type": "object", "properties": {name: other}, "required": [name]})
    return found or [False]
