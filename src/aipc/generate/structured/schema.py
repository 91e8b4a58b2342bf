"""JSON schemas from callers who may be strangers: held to limits before anything reads them.

The limits bound the time and memory of the engines' grammar compilers; OpenAI's own service
has such limits too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aipc.errors import UsageError
from aipc.runtimes.json_schema import (
    BOUNDS,
    LISTS,
    MAPS,
    SINGLES,
    list_of,
    mapping_of,
    required_of,
    resolve,
    subschemas,
    types_of,
)

MAX_CHARACTERS = 2**16
MAX_DEPTH = 40
"""Levels of nested JSON."""
MAX_NODES = 4096
"""Values of the JSON, containers included."""
MAX_ENUM = 1000
MAX_PROPERTIES = 256
"""Of one object: a grammar of optional ones grows with their square (250 took 1.3 s)."""

Schema = Mapping[str, Any]

MAX_PATTERN_CHARACTERS = 2048
MAX_COUNT = 4096
"""Largest least count, and largest count of items and properties."""
LONGEST = 2**22
"""Characters that no answer reaches: a larger maxLength asks for nothing."""
_COUNTS = ("minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength")


def check(schema: Schema) -> dict[str, Any]:
    """A copy of ``schema`` in plain JSON types, found to be within the limits.

    Raises:
        UsageError: it is no JSON object, beyond a limit, points outside itself, or
            defines something by nothing but itself.
    """
    plain = _plain(schema)
    _check_size(plain)
    for node, _ in subschemas(plain):
        _modernize_tuple(node)
    known = {id(node) for node, _ in subschemas(plain)}
    for node, pointer in subschemas(plain):
        _check_lists(node, pointer)
        if "$ref" in node and id(resolve(plain, node["$ref"])) not in known:
            raise UsageError(f"the schema refers to {node['$ref']!r:.80}, which is no schema")
    _check_circles(plain)
    return plain


def checked(schema: Schema) -> dict[str, Any]:
    """As `check`, written as the newest draft has it, and with values that have a meaning."""
    plain = _plain(schema)
    _check_size(plain)
    for node, pointer in subschemas(plain):
        _simplify(node)
        _modernize_tuple(node)
        _modernize_bounds(node, pointer)
        _check_values(node, f"at {pointer} of the schema")
    return check(plain)


def moved(schema: Any, pointer: str) -> Any:
    """A copy of a checked schema that is to stand at ``pointer`` in another one ("#/items")."""
    if not isinstance(schema, dict):
        return schema
    copy = dict(schema)
    if "$ref" in copy:
        copy["$ref"] = pointer + copy["$ref"].removeprefix("#")
    for keyword in MAPS:
        if keyword in copy:
            copy[keyword] = {name: moved(inner, pointer) for name, inner in copy[keyword].items()}
    for keyword in LISTS:
        if keyword in copy:
            copy[keyword] = [moved(inner, pointer) for inner in copy[keyword]]
    for keyword in SINGLES:
        if keyword in copy:
            copy[keyword] = moved(copy[keyword], pointer)
    return copy


def _plain(schema: Schema) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise UsageError(f"a schema is a JSON object, not {schema!r:.40}", "write {...}")
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the schema is no JSON: {error}", "use text, numbers and lists"
        ) from error
    check_limit("the schema", len(text), MAX_CHARACTERS, "characters")
    plain: dict[str, Any] = json.loads(text)
    return plain


def _check_size(plain: dict[str, Any]) -> None:
    nodes, level, depth = 0, [plain], 0
    while level:
        nodes, depth = nodes + len(level), depth + 1
        check_limit("the schema", depth, MAX_DEPTH, "levels")
        check_limit("the schema", nodes, MAX_NODES, "values")
        level = [inner for value in level for inner in _inside(value)]


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _check_lists(node: dict[str, Any], pointer: str) -> None:
    properties, values = len(mapping_of(node, "properties")), len(list_of(node, "enum"))
    check_limit(f"{pointer} of the schema", properties, MAX_PROPERTIES, "properties")
    check_limit(f"'enum' at {pointer} of the schema", values, MAX_ENUM, "values")


def check_limit(what: str, size: int, limit: int, unit: str) -> None:
    """Raise UsageError where ``what`` has more than it may."""
    if size > limit:
        raise UsageError(
            f"{what} has {size:,} {unit}, more than the {limit:,} that are allowed",
            "ask for something simpler",
        )


def _check_circles(root: dict[str, Any]) -> None:
    """Refuse what is defined by itself with no character in between: a grammar of it has no end."""
    done: set[int] = set()
    for node, pointer in subschemas(root):
        _follow(root, node, pointer, [], done)


def _follow(root: dict[str, Any], node: Any, pointer: str, way: list[int], done: set[int]) -> None:
    if not isinstance(node, dict) or id(node) in done:
        return
    if id(node) in way:
        raise UsageError(
            f"{pointer} of the schema is defined by itself", "put an object or a list in between"
        )
    way.append(id(node))
    if "$ref" in node:
        _follow(root, resolve(root, node["$ref"]), pointer, way, done)
    for inner in _in_place(node):
        _follow(root, inner, pointer, way, done)
    done.add(way.pop())


def _in_place(node: dict[str, Any]) -> Iterator[Any]:
    """The schemas in it that are about the same value."""
    for keyword in ("anyOf", "oneOf", "allOf"):
        yield from list_of(node, keyword)
    yield from mapping_of(node, "dependentSchemas").values()
    yield from (node[keyword] for keyword in ("not", "if", "then", "else") if keyword in node)


def _simplify(node: dict[str, Any]) -> None:
    """One way to refer to another part, and one to have a property depend on another.

    An address and a draft of its own are left out: references are paths in the whole schema.
    """
    for note in ("$id", "$schema"):
        node.pop(note, None)
    if "$dynamicRef" in node:  # of a path it is the same
        node["allOf"] = [*list_of(node, "allOf"), {"$ref": node.pop("$dynamicRef")}]
    for name, needed in mapping_of(node, "dependencies").items():
        newer = "dependentRequired" if isinstance(needed, list) else "dependentSchemas"
        node[newer] = {name: needed, **mapping_of(node, newer)}
    node.pop("dependencies", None)


def _modernize_tuple(node: dict[str, Any]) -> None:
    """Write what drafts 4 to 7 have as a list of items as 2020-12 does."""
    if isinstance(node.get("items"), list):
        node["prefixItems"] = node.pop("items")
        if "additionalItems" in node:
            node["items"] = node.pop("additionalItems")
        if not node["prefixItems"]:
            del node["prefixItems"]


def _modernize_bounds(node: dict[str, Any], pointer: str) -> None:
    """Write what draft 4 has as flags as later drafts do."""
    for exclusive, bound in ("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"):
        if isinstance(node.get(exclusive), bool):
            is_exclusive = node.pop(exclusive)
            if is_exclusive and bound in node:
                node[exclusive] = node.pop(bound)
    for keyword in BOUNDS | {"multipleOf"}:
        value = node.get(keyword, 1)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UsageError(f"'{keyword}' at {pointer} of the schema is no number: {value!r:.40}")
    if node.get("multipleOf", 1) <= 0:
        raise UsageError(f"'multipleOf' at {pointer} of the schema is not above 0")


def _check_values(node: dict[str, Any], where: str) -> None:
    for keyword in _COUNTS:
        count = node.get(keyword, 0)
        if isinstance(count, float) and count.is_integer():
            node[keyword] = count = int(count)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise UsageError(f"'{keyword}' {where} is no count: {count!r:.40}")
        if keyword == "maxLength" and count >= LONGEST:
            del node[keyword]
        elif keyword != "maxLength" and count > MAX_COUNT:
            if keyword.startswith("max"):
                del node[keyword]
            else:
                raise UsageError(
                    f"'{keyword}' {where} is {count:,}", f"at most {MAX_COUNT:,} is allowed"
                )
    pattern = node.get("pattern", "")
    if not isinstance(pattern, str):
        raise UsageError(f"the pattern {where} is no text: {pattern!r:.40}")
    check_limit(f"the pattern {where}", len(pattern), MAX_PATTERN_CHARACTERS, "characters")
    for name, needed in mapping_of(node, "dependentRequired").items():
        required_of({"required": needed}, f"{where}/dependentRequired/{name}")
    types_of(node, where)
    required_of(node, where)
