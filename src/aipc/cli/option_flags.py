"""Flags made from options that are declared elsewhere, once, as dataclass fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from aipc.options import Option, describe, from_mapping

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

OPPOSITES = {"sym": "asym"}
"""The flag that switches an option off, where "no-" is not the field's usual word."""


def flags_of(cls: type) -> Callable[[F], F]:
    """Decorate a command with one flag for each option of ``cls``; None means not given."""

    def decorate(command: F) -> F:
        for declared in reversed(describe(cls)):
            command = _flag(declared)(command)
        return command

    return decorate


def given(cls: type[T], flags: Mapping[str, Any], base: T | None = None) -> T | None:
    """The instance that the flags make of ``base``, or of the defaults; ``base`` without flags.

    Raises:
        UsageError: a value that ``cls`` refuses.
    """
    declared = {option.name: option for option in describe(cls)}
    values = {
        name: option.kind(flags[name])
        for name, option in declared.items()
        if flags.get(name) is not None
    }
    own = vars(base) if base is not None else {}
    return from_mapping(cls, {**own, **values}) if values else base


def _flag(declared: Option) -> Callable[[F], F]:
    is_number = declared.kind in (int, float) and not declared.choices
    return click.option(
        _spelling(declared),
        declared.name,
        default=None,
        type=_type(declared),
        metavar="X" if is_number else None,  # click's help states the bounds as 1<=x<=2
        help=_help(declared),
    )


def _spelling(declared: Option) -> str:
    if declared.kind is not bool:
        return declared.flag
    opposite = OPPOSITES.get(declared.name, f"no-{declared.name.replace('_', '-')}")
    return f"{declared.flag}/--{opposite}"


def _type(declared: Option) -> click.ParamType[Any] | type:
    if declared.choices:
        return click.Choice([str(choice) for choice in declared.choices])
    if declared.kind is int:
        minimum, maximum = _whole(declared.minimum), _whole(declared.maximum)
        return click.IntRange(minimum, maximum)
    if declared.kind is float:
        return click.FloatRange(declared.minimum, declared.maximum)
    return declared.kind


def _whole(bound: float | None) -> int | None:
    return None if bound is None else int(bound)


def _help(declared: Option) -> str:
    text = f"{declared.help[:1].upper()}{declared.help[1:]}."
    return text if declared.default is None else f"{text}  [default: {_default(declared)}]"


def _default(declared: Option) -> str:
    if declared.default_words or declared.kind is not bool:
        return declared.default_words or str(declared.default)
    yes, no = _spelling(declared).split("/")
    return (yes if declared.default else no).removeprefix("--")
