"""Flags made from options that are declared elsewhere, once, as dataclass fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import click

from aipc.options import Option, describe, from_mapping

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_PAIR = re.compile(r"(\d+)(?:=|(?=[+-]))([+-]?\d+(?:\.\d+)?)")
_WIDE = 2**53


@runtime_checkable
class RefusesIdle(Protocol):
    """Options that know which of them have no effect, though they are as by default."""

    def refuse_idle(self, given: Collection[str]) -> None:
        """Raises UsageError for the first of the names ``given`` that does nothing."""


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
        name: flags[name] if option.kind is Mapping else option.kind(flags[name])
        for name, option in declared.items()
        if flags.get(name) is not None
    }
    own = {name: getattr(base, name) for name in declared} if base is not None else {}
    made = from_mapping(cls, {**own, **values}) if values else base
    if isinstance(made, RefusesIdle):
        made.refuse_idle(values)
    return made


def _flag(declared: Option) -> Callable[[F], F]:
    if declared.kind is Mapping:
        return click.option(
            declared.flag,
            declared.name,
            multiple=True,
            metavar="ID=X",
            callback=_by_id,
            help=f"{_help(declared)} Repeat it for more.",
        )
    is_number = declared.kind in (int, float) and not declared.choices
    return click.option(
        _spelling(declared),
        declared.name,
        default=None,
        type=_type(declared),
        metavar="X" if is_number else None,  # click's help states the bounds as 1<=x<=2
        help=_help(declared),
    )


def _by_id(
    _context: click.Context, _parameter: click.Parameter, pairs: tuple[str, ...]
) -> dict[int, float] | None:
    return read_pairs(pairs)


def read_pairs(pairs: Sequence[str]) -> dict[int, float] | None:
    """The pairs "15043=-100", or as llama.cpp has it "15043-100"; None without any.

    Raises:
        click.BadParameter: one is no such pair.
    """
    found = [_PAIR.fullmatch(pair.strip()) for pair in pairs]
    if not all(found):
        raise click.BadParameter("it takes a token id and a number, such as 15043=-100")
    return {int(one[1]): float(one[2]) for one in found if one} or None


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
        if maximum is not None and maximum >= _WIDE:
            return int  # click's help would state bounds of 20 digits
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
