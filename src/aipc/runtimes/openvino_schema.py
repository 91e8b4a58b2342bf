"""What of JSON Schema OpenVINO GenAI enforces; the rest is refused, for it would be ignored.

xgrammar, which GenAI is built with, looks at one group of keywords a schema and leaves others
out without an error.  Source: github.com/mlc-ai/xgrammar, ``cpp/json_schema_converter.cc``
(``SchemaParser::Parse`` and the functions that it calls); tried out with GenAI 2026.4.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aipc.errors import UsageError

NOTES = frozenset(
    {"$schema", "$id", "$comment", "$defs", "definitions", "title", "description"}
    | {"default", "examples", "deprecated", "readOnly", "writeOnly"}
)
"""Keywords that ask for nothing."""
WHOLE = ("$ref", "const", "enum", "anyOf", "allOf")
"""Each of these is all that is looked at in its schema, the first of them that is there."""
BY_TYPE = {
    "object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "boolean": set(),
    "null": set(),
}
FORMATS = frozenset(
    {"date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"}
)
_PYTHON: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def check_schema(text: str) -> None:
    """Refuse what would not be enforced, or is no schema.

    Raises:
        UsageError: naming the keyword.
    """
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the schema is no JSON ({error})", "mend it") from error
    if not isinstance(schema, dict):
        raise UsageError("a schema is a JSON object", 'any JSON object: {"type": "object"}')
    try:
        _check_all(schema)
    except (TypeError, AttributeError) as error:
        raise UsageError(f"the schema is malformed ({error})", "see json-schema.org") from error


def _check_all(schema: dict[str, Any]) -> None:
    pending = [schema]
    while pending:
        current = pending.pop()
        _check_node(current)
        pending += _parts(current)


def _check_node(schema: Mapping[str, Any]) -> None:
    asked = schema.keys() - NOTES
    whole = next((keyword for keyword in WHOLE if keyword in asked), None)
    if whole is not None:
        _check_whole(schema, whole)
        return
    types = _types(schema)
    known = set().union({"type"}, *(BY_TYPE[each] for each in types))
    for keyword in sorted(asked - known):
        raise _not_enforced(
            keyword, f"beside type {' or '.join(types)}" if types else "without a type"
        )
    if "string" in types:
        _check_string(schema)
    for name in schema.get("required", ()):
        if name not in schema.get("properties", {}):
            raise _not_enforced("required", f"for '{name}', which is not among the properties")


def _check_whole(schema: Mapping[str, Any], keyword: str) -> None:
    others = schema.keys() - NOTES - {keyword}
    if keyword in {"const", "enum"}:
        values = schema["enum"] if keyword == "enum" else [schema["const"]]
        others -= {"type"} if _all_of_type(values, _types(schema)) else set()
    for other in sorted(others):
        raise _not_enforced(other, f"beside {keyword}")
    if keyword == "$ref" and not schema["$ref"].startswith("#"):
        raise _not_enforced("$ref", f"to another document ({schema['$ref']})")
    if keyword == "allOf" and len(schema["allOf"]) != 1:
        raise _not_enforced("allOf", "with more than one part")


def _check_string(schema: Mapping[str, Any]) -> None:
    """Of format, pattern and the lengths, one is looked at."""
    groups = ("format" in schema) + ("pattern" in schema)
    groups += "minLength" in schema or "maxLength" in schema
    if groups > 1:
        raise _not_enforced("format, pattern and lengths", "together")
    if schema.get("format", "date") not in FORMATS:
        raise _not_enforced(
            f"format '{schema['format']}'", f"(known: {', '.join(sorted(FORMATS))})"
        )


def _types(schema: Mapping[str, Any]) -> list[str]:
    """Also those that a schema without a type means by its keywords."""
    stated = schema.get("type", [])
    types = stated if isinstance(stated, list) else [stated]
    for each in types:
        if each not in BY_TYPE:
            raise UsageError(f"a schema has the unknown type {each!r}", "see json-schema.org")
    if not types:
        meant = ("properties", "object"), ("additionalProperties", "object"), ("items", "array")
        types = [kind for keyword, kind in meant if keyword in schema][:1]
    return types


def _all_of_type(values: list[Any], types: list[str]) -> bool:
    return all(any(isinstance(value, _PYTHON[each]) for each in types) for value in values)


def _parts(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas inside this one; not the values of const and enum."""
    groups = [schema.get(name, []) for name in ("anyOf", "allOf", "prefixItems")]
    groups += [
        list(schema.get(name, {}).values()) for name in ("properties", "$defs", "definitions")
    ]
    groups.append([schema.get(name) for name in ("items", "additionalProperties")])
    for group in groups:
        yield from (part for part in group if isinstance(part, dict))


def _not_enforced(keyword: str, where: str) -> UsageError:
    return UsageError(
        f"OpenVINO does not enforce {keyword} {where} in a schema",
        "leave it out, or say it another way",
    )
