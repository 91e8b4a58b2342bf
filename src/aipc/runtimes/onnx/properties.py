"""ONNX Runtime's own properties, as a user gives them: typed, and refused when not declared."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aipc.artifact.providers import SESSION_OPTIONS, Provider
from aipc.errors import UsageError

PROVIDER = "provider"
"""The property that asks for another provider than the device's usual one."""


@dataclass(frozen=True)
class Settings:
    session: Mapping[str, Any]
    """As genai_config.json's session_options."""
    provider: Mapping[str, str]

    def overlay(self) -> str:
        """The JSON that lays the session's options over a genai_config.json."""
        return json.dumps({"model": {"decoder": {"session_options": dict(self.session)}}})


def read_properties(properties: Mapping[str, str], provider: Provider) -> Settings:
    """Sort properties into the session's and the provider's.

    Raises:
        UsageError: an unknown name, naming the nearest known one, or a value of another kind.
    """
    session: dict[str, Any] = {}
    own: dict[str, str] = {}
    for name, value in properties.items():
        if name in SESSION_OPTIONS:
            session[name] = _read(name, value, SESSION_OPTIONS[name])
        elif name in provider.options:
            own[name] = _written(_read(name, value, provider.options[name]))
        elif name != PROVIDER:
            raise _unknown(name, provider)
    return Settings(session, own)


def _unknown(name: str, provider: Provider) -> UsageError:
    known = [*SESSION_OPTIONS, *provider.options, PROVIDER]
    near = difflib.get_close_matches(name, known, n=1)
    fix = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return UsageError(f"{provider.name} has no property {name}", fix)


def _flag(value: str) -> str:
    """ONNX Runtime's session entries are texts, "0" and "1"."""
    return _written(_boolean(value))


def _boolean(value: str) -> bool:
    return {"1": True, "true": True, "0": False, "false": False}[value.lower()]


_READERS: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "str": str,
    "bool": _boolean,
    "flag": _flag,
}
_MEANT = {"int": "a whole number", "bool": "0 or 1", "flag": "0 or 1"}


def _read(name: str, value: str, kind: str) -> Any:
    try:
        return _READERS[kind](value)
    except (ValueError, KeyError) as error:
        raise UsageError(f"{name} takes {_MEANT[kind]}, not '{value}'") from error


def _written(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
