"""Whether and how much a model thinks before it answers, and what of that is shown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from aipc.cli.arguments.command import section
from aipc.cli.arguments.exclusions import check_thinking
from aipc.cli.screen.output import notice
from aipc.errors import UsageError
from aipc.foreign_text import without_controls

F = TypeVar("F", bound=Callable[..., Any])

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")


def thinking_flags(command: F) -> F:
    decorators = (
        click.option(
            "--think/--no-think",
            default=None,
            help="Think before the answer, or don't; left out, the model's own choice.",
        ),
        click.option(
            "--thinking-budget",
            type=click.IntRange(0),
            metavar="N",
            help="Most tokens of thinking; then it has to answer.",
        ),
        click.option(
            "--reasoning-effort",
            type=click.Choice(_EFFORTS),
            help="How much to think, for models that take it.",
        ),
        click.option(
            "--chat-template-kwargs",
            metavar="JSON",
            help="More variables of the model's chat template, as an object.",
        ),
        click.option("--hide-thinking", is_flag=True, help="Don't show it on the terminal."),
    )
    return section("Thinking", *decorators)(command)


def thinking_options(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for `Session.stream` that were given.

    Raises:
        UsageError: variables of the template that are no JSON object.
    """
    check_thinking(flags)
    names = ("think", "thinking_budget", "reasoning_effort")
    given = {name: flags[name] for name in names if flags[name] is not None}
    if flags["chat_template_kwargs"] is not None:
        given["template_options"] = _read_object(flags["chat_template_kwargs"])
    return given


def _read_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UsageError(
            "--chat-template-kwargs is no JSON object", "write '{\"enable_thinking\": false}', say"
        )
    return value


class ThinkingDisplay:
    """Thinking on stderr, dimmed between two lines; nowhere if that is no terminal."""

    def __init__(self, *, is_hidden: bool = False) -> None:
        self._is_shown = not is_hidden and sys.stderr is not None and sys.stderr.isatty()
        has_color = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._dim, self._plain = (_DIM, _PLAIN) if has_color else ("", "")
        self._is_open = False

    def write(self, text: str) -> None:
        if not self._is_shown or not text:
            return
        if not self._is_open:
            notice("[thinking]")
        self._is_open = True
        sys.stderr.write(f"{self._dim}{without_controls(text)}{self._plain}")
        sys.stderr.flush()

    def end(self) -> None:
        """Before the answer, and after whatever ended it."""
        if self._is_open:
            notice("\n[end of thinking]")
        self._is_open = False
