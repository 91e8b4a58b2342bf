"""Values: how those that a schema lists are written, and whether one fits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from aipc.generate.grammar.pattern import UnsupportedPattern, language
from aipc.runtimes.grammars.automaton import holds


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


def fits(value: Any, schema: Any, root: Mapping[str, Any]) -> bool:
    """Whether ``value`` fits a part of the schema ``root``."""
    return bool(_validator_class()(root).evolve(schema=schema).is_valid(value))


def misfit(text: str, schema: Mapping[str, Any]) -> str:
    """What of a finished answer does not fit ``schema``, in a line; empty where it fits."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "it is no JSON"
    errors = _validator_class()(schema).iter_errors(value)
    for error in errors:
        return f"{error.message:.200} (at {error.json_path:.80})"
    return ""


@lru_cache(maxsize=1)
def _validator_class() -> Any:
    """JSON Schema 2020-12, with patterns as ECMA 262 has them."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    return extend(Draft202012Validator, {"pattern": _pattern})


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(value, str):
        try:
            is_found = holds(language(pattern), value)
        except UnsupportedPattern:
            return  # said of the schema already
        if not is_found:
            yield ValidationError(f"{value!r} does not match {pattern!r}")
