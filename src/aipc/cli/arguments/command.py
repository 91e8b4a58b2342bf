"""How every command reads its line and shows its help: options in sections, near misses told."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from aipc.cli.arguments.near_misses import unexpected_word, unknown_option

_UNEXPECTED = re.compile(r"unexpected extra argument \((\S+)\)")
F = TypeVar("F", bound=Callable[..., Any])

SECTIONS = (
    "Sampling",
    "Answer",
    "Thinking",
    "Measurement",
    "Batch",
    "Serving",
    "Model",
    "Device",
    "NPU",
    "Weights, where the model is converted",
    "Server",
    "Output",
)
"""Of a command's help, in this order; the last also has what belongs to none."""


def section(title: str, *decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Decorate a command with options that its help shows under one of `SECTIONS`."""
    if title not in SECTIONS:
        raise ValueError(f"no section '{title}'")

    def decorate(command: F) -> F:
        before = len(_parameters(command))
        for one in reversed(decorators):
            command = one(command)
        for parameter in _parameters(command)[before:]:
            parameter.section = title  # type: ignore[attr-defined]
        return command

    return decorate


class SectionedCommand(click.Command):
    """A command whose help groups many options, and whose errors know what was meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        written = list(args)  # click empties it
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise unknown_option(_as_written(error.option_name, written), ctx) from error
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # whose --help is then named
            extra = _UNEXPECTED.search(error.message)
            raise (extra and unexpected_word(extra[1], ctx)) or error from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and not isinstance(parameter, click.Argument):
                found.setdefault(getattr(parameter, "section", SECTIONS[-1]), []).append(record)
        for title in SECTIONS:
            if title in found:
                with formatter.section(title if len(found) > 1 else "Options"):
                    formatter.write_dl(found[title])


def _parameters(command: Callable[..., Any]) -> list[click.Parameter]:
    """Those that decorators have given a command so far."""
    found: list[click.Parameter] = getattr(command, "__click_params__", [])
    return found


def _as_written(flag: str, arguments: list[str]) -> str:
    """Of "-ngl" and "-help", which are read as several of one letter, all."""
    if flag.startswith("--"):
        return flag
    short = (one for one in arguments if one.startswith("-") and not one.startswith("--"))
    return next((one for one in short if flag[1] in one), flag)
