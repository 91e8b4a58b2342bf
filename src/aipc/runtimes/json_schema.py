"""JSON Schema as a tree, whichever engine enforces it: the schemas in one, types, values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import reduce
from typing import Any

from aipc.errors import UsageError
from aipc.runtimes.base import Decoding

MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
SINGLES = (
    *("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else"),
    *("unevaluatedProperties", "unevaluatedItems"),
)
"""Keywords that hold schemas: by name, in a list, and one alone."""
BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
KEYWORDS_OF = {
    "object": frozenset(
        {"properties", "required", "additionalProperties", "patternProperties", "propertyNames"}
        | {"minProperties", "maxProperties", "unevaluatedProperties"}
    ),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": BOUNDS | {"multipleOf"},
}
"""The type that keywords are about."""
_APPLIED = frozenset(
    {"$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "type"}
    | {"const", "enum", "dependentRequired", "dependentSchemas", "unevaluatedItems"}
)
KNOWN = _APPLIED.union(*KEYWORDS_OF.values())
"""Keywords that ask for something; every other is a note (2020-12 core, section 6.5)."""
TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")


def subschemas(schema: Any, pointer: str = "#") -> Iterator[tuple[dict[str, Any], str]]:
    """Every object of the schema that is itself one, and where it stands.

    What is added to an object while it is given is walked too.

    Raises:
        UsageError: something that is no schema stands where one should.
    """
    pending = [(schema, pointer)]
    while pending:
        node, where = pending.pop()
        if isinstance(node, bool):
            continue
        if not isinstance(node, dict):
            raise UsageError(
                f"{where} in the schema is no schema: {node!r:.40}", "write {...} there"
            )
        yield node, where
        pending += [(inner, f"{where}/{name}") for inner, name in reversed(_inner_schemas(node))]


def _inner_schemas(schema: dict[str, Any]) -> list[tuple[Any, str]]:
    inner = [
        (each, f"{keyword}/{name}")
        for keyword in MAPS
        for name, each in mapping_of(schema, keyword).items()
    ]
    inner += [
        (each, f"{keyword}/{number}")
        for keyword in LISTS
        for number, each in enumerate(list_of(schema, keyword))
    ]
    return inner + [(schema[keyword], keyword) for keyword in SINGLES if keyword in schema]


def mapping_of(schema: dict[str, Any], keyword: str) -> dict[str, Any]:
    """The object at ``keyword``; an empty one where there is none."""
    value = schema.get(keyword, {})
    if not isinstance(value, dict):
        raise UsageError(f"'{keyword}' in the schema is no object: {value!r:.40}")
    return value


def list_of(schema: dict[str, Any], keyword: str) -> list[Any]:
    """The list at ``keyword``; an empty one where there is none."""
    value = schema.get(keyword, [])
    if not isinstance(value, list) or (keyword in schema and not value):
        raise UsageError(
            f"'{keyword}' in the schema is no filled list: {value!r:.40}", "write [...]"
        )
    return value


def resolve(root: dict[str, Any], reference: Any) -> Any:
    """What a local reference ("#", "#/$defs/Name") points at."""
    if not isinstance(reference, str) or not re.fullmatch(r"#(/.*)?", reference, re.DOTALL):
        raise UsageError(
            f"the schema refers to {reference!r:.80}, outside itself",
            "move it under $defs and write #/$defs/NAME",
        )
    names = [part.replace("~1", "/").replace("~0", "~") for part in reference.split("/")[1:]]
    try:
        return reduce(_at, names, root)
    except (KeyError, IndexError):
        raise UsageError(
            f"the schema has nothing at {reference!r:.80}, which it refers to"
        ) from None


def _at(value: Any, name: str) -> Any:
    if isinstance(value, list) and re.fullmatch("[0-9]{1,4}", name):
        return value[int(name)]
    if not isinstance(value, dict):
        raise KeyError(name)
    if name == "items" and name not in value:
        return value["prefixItems"]  # a draft-7 reference into a tuple
    return value[name]


def types_of(schema: dict[str, Any], pointer: str) -> list[str]:
    """The types that it names; none where it names none.

    Raises:
        UsageError: one is unknown.
    """
    if "type" not in schema:
        return []
    stated = schema["type"]
    names = stated if stated and isinstance(stated, list) else [stated]
    for name in names:
        if not isinstance(name, str) or name not in TYPES:
            raise UsageError(
                f"no type is called {name!r:.40} at {pointer} of the schema",
                f"use {', '.join(TYPES)}",
            )
    return names


def required_of(schema: dict[str, Any], pointer: str) -> list[str]:
    """The names that it requires."""
    names = schema.get("required", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"'required' at {pointer} of the schema is no list of names")
    return names


def values_of(schema: dict[str, Any]) -> list[Any] | None:
    """The only values that it allows, where it lists them."""
    return [schema["const"]] if "const" in schema else list_of(schema, "enum") or None


def check_constrained(
    decoding: Decoding, prompt: int, stop_ids: frozenset[int], switch: int | None
) -> None:
    """Refuse a constraint on a request that could not keep it to its end.

    ``prompt`` is its length in tokens, ``switch`` the one past which the model's rotary
    embedding takes other factors: there the answer is begun anew, and a constraint with it.

    Raises:
        UsageError: no stop id, or an answer that may lead past the switch.
    """
    if decoding.constraint is None:
        return
    if not stop_ids:
        raise UsageError(
            "a constraint needs a token to end with, and the model has no stop id",
            "add eos_token_id to its generation_config.json",
        )
    if switch is not None and prompt <= switch < prompt + decoding.max_new_tokens - 1:
        raise UsageError(
            f"a constraint can't be kept past {switch:,} tokens, where this model changes its "
            f"rotary factors, and prompt and answer may have {prompt + decoding.max_new_tokens:,}",
            f"lower --max-new-tokens to {switch - prompt + 1:,}",
        )
