"""Frozen dataclasses from plain JSON data and back: every field is there, in its type."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from aipc import disk
from aipc.errors import MeasurementError

T = TypeVar("T")


class Misfit(ValueError):
    """Data that is not as the dataclass declares it; says where and how."""


def plain(instance: Any) -> dict[str, Any]:
    """A dataclass as JSON has it: lists, mappings, numbers, texts, null."""
    return dataclasses.asdict(instance)


def write(instance: Any, file: Path) -> None:
    """Write a dataclass to a new file, folders included.

    Raises:
        MeasurementError: there is one of that name already, or the disk refuses it.
    """
    text = json.dumps(plain(instance), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with disk.explained(file, MeasurementError, len(text)):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as opened:
                opened.write(text)
        except FileExistsError as error:
            fix = "results are never overwritten: choose another name"
            raise MeasurementError(f"'{file}' exists already", fix) from error


def read(kind: type[T], data: Any, where: str = "") -> T:
    """Build the dataclass ``kind`` from parsed JSON.

    A field with a default may be left out; an unknown field is an error.

    Raises:
        Misfit: naming the field by its path, as in "cases[2].times".
    """
    if not isinstance(data, Mapping):
        raise Misfit(f"{where or 'it'} is {_short(data)}, not an object")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise Misfit(f"{_path(where, unknown[0])} is not known")
    lacking = [name for name, field in fields.items() if name not in data and _is_needed(field)]
    if lacking:
        raise Misfit(f"{_path(where, lacking[0])} is missing")
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], data[name], _path(where, name)) for name in data})


def _value(hint: Any, data: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if data is None else _value(get_args(hint)[0], data, where)
    if origin is tuple:
        return _sequence(get_args(hint)[0], data, where)
    if origin is not None:
        return _mapping(get_args(hint)[1], data, where)
    if dataclasses.is_dataclass(hint):
        return read(hint, data, where)  # type: ignore[arg-type]
    return data if hint is Any else _simple(hint, data, where)


def _sequence(item: Any, data: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise Misfit(f"{where} is {_short(data)}, not a list")
    return tuple(_value(item, entry, f"{where}[{at}]") for at, entry in enumerate(data))


def _mapping(item: Any, data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise Misfit(f"{where} is {_short(data)}, not an object")
    return {name: _value(item, entry, f"{where}.{name}") for name, entry in data.items()}


def _simple(kind: type, data: Any, where: str) -> Any:
    """JSON has no difference between 1 and 1.0; a boolean is no number."""
    allowed = (int, float) if kind is float else (kind,)
    if not isinstance(data, allowed) or (isinstance(data, bool) and kind is not bool):
        raise Misfit(f"{where} is {_short(data)}, not {kind.__name__}")
    return kind(data)


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"
