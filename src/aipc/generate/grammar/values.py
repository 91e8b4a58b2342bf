"""Values: how those that a schema lists are written, and whether one fits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from time import thread_time
from typing import Any

from aipc.errors import UsageError
from aipc.generate.grammar.pattern import UnsupportedPattern, language
from aipc.runtimes.grammars.automaton import holds
from aipc.runtimes.json_schema import subschemas

LIMIT_S = 1.0
"""Of processor time, to check a finished answer."""


@dataclass(frozen=True)
class _Check:
    """One that is under way in this thread."""

    root: Mapping[str, Any]
    end: float
    """On the clock of the thread's processor time."""


_CHECK: ContextVar[_Check] = ContextVar("_CHECK")


def written_value(value: Any) -> str:
    """As JSON, on one line."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(value)
    return text


def distinct(values: Sequence[Any]) -> list[Any]:
    """Each value once; 1.0 is 1, and true is not."""
    found: dict[str, Any] = {}
    for value in values:
        plain = int(value) if isinstance(value, float) and value.is_integer() else value
        found.setdefault(json.dumps(plain, sort_keys=True), value)
    return list(found.values())


def fits(value: Any, schema: Any, root: Mapping[str, Any], end: float) -> bool:
    """Whether ``value`` fits a part of the schema ``root``.

    Raises:
        UsageError: that is not known when this thread's processor time (seconds) is ``end``.
    """
    with _validator(root, end) as validator:
        return bool(validator.evolve(schema=schema).is_valid(value))


def misfit(text: str, schema: Mapping[str, Any]) -> str:
    """What of a finished answer does not fit ``schema``, in a line; empty where it fits."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "it is no JSON"
    try:
        with _validator(schema, thread_time() + LIMIT_S) as validator:
            for error in validator.iter_errors(value):
                return f"{error.message:.200} (at {error.json_path:.80})"
    except (UsageError, RecursionError) as error:
        return f"it could not be checked: {error!s:.200}"
    return ""


@contextmanager
def _validator(root: Mapping[str, Any], end: float) -> Iterator[Any]:
    """Its empty registry fetches nothing, whatever addresses a schema holds."""
    from referencing import Registry

    before = _CHECK.set(_Check(root, end))
    try:
        yield _validator_class()(root, registry=Registry())
    finally:
        _CHECK.reset(before)


@lru_cache(maxsize=1)
def _validator_class() -> Any:
    """JSON Schema 2020-12, with patterns as ECMA 262 has them, matched in linear time."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    own = {
        "$ref": _reference,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "unevaluatedProperties": _unevaluated_properties,
    }
    return extend(Draft202012Validator, own)


def _reference(validator: Any, reference: str, value: Any, schema: Any) -> Iterator[Any]:
    """Thirty references, each to two of the next, are a billion."""
    from jsonschema import Draft202012Validator

    if thread_time() > _CHECK.get().end:
        raise UsageError("the schema takes too long to check", "ask for something simpler")
    yield from Draft202012Validator.VALIDATORS["$ref"](validator, reference, value, schema)


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(value, str) and _finds(pattern, value) is False:
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], value: Any, _schema: Any
) -> Iterator[Any]:
    for name, item in value.items() if isinstance(value, dict) else ():
        for pattern, schema in patterns.items():
            if _finds(pattern, name):
                yield from validator.descend(item, schema, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, additional: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[Any]:
    patterns = schema.get("patternProperties", ())
    for name, item in value.items() if isinstance(value, dict) else ():
        is_named = name in schema.get("properties", ())
        if not is_named and all(_finds(pattern, name) is False for pattern in patterns):
            yield from validator.descend(item, additional, path=name)


def _unevaluated_properties(
    validator: Any, unevaluated: Any, value: Any, schema: Any
) -> Iterator[Any]:
    """The library's, which searches names for patterns by backtracking."""
    from jsonschema import Draft202012Validator

    if any("patternProperties" in node for node, _ in subschemas(_CHECK.get().root)):
        raise UsageError(
            "'unevaluatedProperties' with 'patternProperties' can't be checked",
            "write 'additionalProperties' beside them",
        )
    check = Draft202012Validator.VALIDATORS["unevaluatedProperties"]
    yield from check(validator, unevaluated, value, schema)


def _finds(pattern: str, text: str) -> bool | None:
    """Whether it is found; None where it can't be read, which was said of the schema already."""
    try:
        return holds(language(pattern), text)
    except UnsupportedPattern:
        return None
