"""Options: declared once, as fields of a frozen dataclass; everything else is derived.

A field made by `option` carries its help and its bounds.  The dataclass checks itself
(`check` in ``__post_init__``), a mapping becomes an instance by `from_mapping`, and the
command line, the server and the documentation read `describe`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from aipc.errors import UsageError

T = TypeVar("T")
_described: dict[type, tuple[Option, ...]] = {}


@dataclasses.dataclass(frozen=True)
class Option:
    """One declared option; ``optional`` allows None.

    ``kind`` is bool, int, float or str; or Mapping, of numbers that the bounds are for.
    """

    name: str
    kind: type
    optional: bool
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    default_words: str = ""
    """The default as a user meets it, where that depends on more than the option."""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


def option(
    default: Any,
    help: str,  # noqa: A002 - the field's usual name
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Iterable[Any] = (),
    default_words: str = "",
) -> Any:
    """A dataclass field that knows its help and its bounds (inclusive)."""
    bounds = {"minimum": minimum, "maximum": maximum, "choices": tuple(choices)}
    facts = {"help": help, "default_words": default_words, **bounds}
    return dataclasses.field(default=default, metadata=facts)


def describe(cls: type) -> tuple[Option, ...]:
    """The options that a dataclass declares, in order."""
    if cls not in _described:  # every request makes an instance, and reading hints is slow
        _described[cls] = _read(cls)
    return _described[cls]


def _read(cls: type) -> tuple[Option, ...]:
    hints = get_type_hints(cls)
    return tuple(
        Option(
            name=field.name,
            kind=_kind(hints[field.name]),
            optional=type(None) in get_args(hints[field.name]),
            default=field.default,
            **field.metadata,
        )
        for field in dataclasses.fields(cls)
        if "help" in field.metadata
    )


def check(instance: Any) -> None:
    """Refuse a value outside its declared type, bounds or choices.

    Raises:
        UsageError: naming the option, the value and what is allowed.
    """
    for declared in describe(type(instance)):
        value = getattr(instance, declared.name)
        if value is None and declared.optional:
            continue
        _check_kind(declared, value)
        for each in value.values() if declared.kind is Mapping else (value,):
            _check_bounds(declared, each)


def from_mapping(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build ``cls`` from names and values; an unknown name is an error, never dropped.

    Raises:
        UsageError: for an unknown name, naming the nearest known one, or a bad value.
    """
    known = [declared.name for declared in describe(cls)]
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            fix = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            raise UsageError(f"unknown option '{name}'", fix)
    return cls(**values)


def _kind(hint: Any) -> type:
    kinds = [part for part in (get_args(hint) or (hint,)) if part is not type(None)]
    kind: type = get_origin(kinds[0]) or kinds[0]
    return kind


def _check_kind(declared: Option, value: Any) -> None:
    wanted = (int, float) if declared.kind is float else (declared.kind,)
    if declared.kind is Mapping and isinstance(value, Mapping):
        if all(isinstance(each, int | float) for each in value.values()):
            return
        raise UsageError(f"{declared.flag} takes numbers, not {value!r:.60}")
    is_wrong_bool = isinstance(value, bool) and declared.kind is not bool
    if is_wrong_bool or not isinstance(value, wanted):
        raise UsageError(f"{declared.flag} takes {declared.kind.__name__}, not {value!r:.60}")


def _check_bounds(declared: Option, value: Any) -> None:
    if declared.choices and value not in declared.choices:
        allowed = ", ".join(str(choice) for choice in declared.choices)
        raise UsageError(f"{declared.flag} can't be {value!r:.60}", f"choose one of {allowed}")
    if declared.minimum is not None and not value >= declared.minimum:
        raise UsageError(f"{declared.flag} {value!r:.60} is below its minimum {declared.minimum}")
    if declared.maximum is not None and not value <= declared.maximum:
        raise UsageError(f"{declared.flag} {value!r:.60} is above its maximum {declared.maximum}")
