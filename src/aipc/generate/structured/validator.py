"""Whether a value fits a schema: of what a grammar can't hold, and of values that are listed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from aipc.runtimes.automaton import holds
from aipc.generate.structured.pattern import UnsupportedPattern, language


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
