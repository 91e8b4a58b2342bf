"""The model, given the same way to every command: MODEL itself, or -m MODEL."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from aipc.cli.arguments.command import section
from aipc.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

MODEL_HELP = (
    "Short name, hub id (org/name[@revision]), checkpoint folder, .gguf file or artifact folder."
)
ADAPTER_HELP = (
    "A LoRA adapter to merge as MODEL is converted, times SCALE: peft's folder, a GGUF file, or "
    "org/name of the hub; repeatable. An artifact takes it as it runs."
)
_NAMES = "`aipc models --available` lists short names"

model_option = section("Model", click.option("-m", "--model", metavar="MODEL", help=MODEL_HELP))
"""For a command whose arguments are something else, such as a prompt."""


def model_parameter(*, is_required: bool = False) -> Callable[[F], F]:
    """Give a command its ``model``, None where none is needed and none was given."""

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def call(*args: Any, model_argument: str | None, model: str | None, **flags: Any) -> Any:
            named = [one for one in (model_argument, model) if one is not None]
            if len(set(named)) > 1:
                raise _two_models(named)
            if is_required and not named:
                raise _no_model()
            return command(*args, model=named[0] if named else None, **flags)

        argument = click.argument("model_argument", required=False, metavar="[MODEL]")
        return argument(model_option(call))  # type: ignore[return-value]

    return decorate


def adapter_flag(command: F) -> F:
    """Give a command ``--adapter``, which becomes a part of its ``model``'s name."""

    @functools.wraps(command)
    def call(*args: Any, model: str | None, adapters: tuple[str, ...], **flags: Any) -> Any:
        if adapters:
            from aipc.models import names  # at use: most models have no adapter
            from aipc.models.catalogue import CATALOGUE

            model = names.with_adapters(model or CATALOGUE.default.name, adapters)
        return command(*args, model=model, **flags)

    option = click.option(
        "--adapter", "adapters", multiple=True, metavar="DIR[:SCALE]", help=ADAPTER_HELP
    )
    return section("Model", option)(call)  # type: ignore[return-value]


def models_parameter(
    *, metavar: str = "MODEL", is_required: bool = False, what: str = MODEL_HELP
) -> Callable[[F], F]:
    """Give a command its ``models``, a tuple of any number."""

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def call(*args: Any, models: tuple[str, ...], named: tuple[str, ...], **flags: Any) -> Any:
            if models and named and set(models) != set(named):
                raise _two_models([*models, *named])
            if is_required and not models and not named:
                raise _no_model()
            return command(*args, models=models or named, **flags)

        argument = click.argument("models", nargs=-1, metavar=f"[{metavar}]...")
        option = section(
            "Model",
            click.option("-m", "--model", "named", multiple=True, metavar=metavar, help=what),
        )
        return argument(option(call))  # type: ignore[return-value]

    return decorate


def require_model(model: str | None, command: str) -> str:
    """The model that was named, for a ``command`` whose arguments are something else.

    Raises:
        UsageError: none was.
    """
    if model is None:
        raise UsageError("no model was named", f"write `{command} -m MODEL`")
    return model


def _two_models(named: list[str]) -> UsageError:
    what = f"two models are named, '{named[0]}' and '{named[-1]}'"
    return UsageError(what, "name it once, with -m or without")


def _no_model() -> UsageError:
    context = click.get_current_context()
    needed = [
        f" {one.opts[0]} {one.metavar}"
        for one in context.command.params
        if isinstance(one, click.Option) and one.required
    ]
    line = f"{context.command_path} MODEL{''.join(needed)}"
    return UsageError("no model was named", f"write `{line}`; {_NAMES}")
