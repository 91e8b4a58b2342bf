"""``aipc serve``: the APIs that clients know and a page in the browser, on this computer."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.arguments.command import SectionedCommand, section
from aipc.cli.arguments.command_group import Invocation
from aipc.cli.arguments.model_parameter import MODEL_HELP, models_parameter
from aipc.cli.arguments.option_flags import flags_of, given
from aipc.cli.arguments.session_flags import device_flags, plain_loading
from aipc.cli.screen.output import notice
from aipc.errors import UsageError
from aipc.pool.options import PoolOptions
from aipc.serve.http.binding import KEY_VARIABLE, Binding, read_key
from aipc.serve.http.client_limits import ClientLimits

if TYPE_CHECKING:
    from aipc.pool.model_registry import ModelRegistry


@click.command(cls=SectionedCommand)
@models_parameter(
    what=f"{MODEL_HELP} Repeat it for more; the first, or the default model, is loaded at once."
)
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    metavar="NAME=MODEL",
    help="Another name for a model here, such as 'claude-*=MODEL'; repeatable.",
)
@click.option(
    "--adapter",
    "adapters",
    multiple=True,
    metavar="NAME=DIR[:SCALE]",
    help="A LoRA adapter of the first model, not merged: requests choose it as MODEL:NAME; "
    "repeatable.",
)
@section("Serving", flags_of(Binding))
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A further name that clients call this server by; repeatable.",
)
@click.option(
    "--allow-origin",
    "allowed_origins",
    multiple=True,
    metavar="ORIGIN",
    help="Origin of a web page (https://page.example) or an app (app://name) that may use this "
    "server; repeatable.",
)
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"The key that clients have to show; without it {KEY_VARIABLE} is taken, if it is set.",
)
@section("Serving", flags_of(ClientLimits))
@section("Serving", flags_of(PoolOptions))
@device_flags
def serve(models: tuple[str, ...], aliases: tuple[str, ...], **flags: Any) -> None:
    """Answer OpenAI's, Anthropic's and Ollama's API, and people in a browser, from models here.

    Requests may name the models given here and those whole in the store; each is loaded when it
    is first requested, and the one unused for longest goes when memory is short. Ctrl-C,
    SIGTERM or SIGHUP lets answers under way end, a second Ctrl-C does not.
    """
    wanted = read_options(models, aliases, flags)
    from aipc.devices.counters.monitor import Monitor
    from aipc.devices.counters.watch import find_counters
    from aipc.pool.pool import Pool
    from aipc.serve import server
    from aipc.serve.announcement import announced
    from aipc.serve.http.listening import listen

    store, loading = wanted.registry.store, {**wanted.loading, "work": "serve"}
    pool = Pool(wanted.registry, wanted.pool, device=loading.pop("device"), loading=loading)
    monitor = Monitor(find_counters(), store.running)
    listeners, binding = listen(wanted.binding)
    debug = click.get_current_context().ensure_object(Invocation).debug
    server.log_to(logging.StreamHandler(), debug=debug)
    first = pool.models()[0].name
    _greet(binding, first)
    with announced(store.servers, binding, notice):
        server.serve(pool, monitor, listeners, binding, first=first, notify=notice)


@dataclass(frozen=True)
class ServeOptions:
    """All that `aipc serve` is told on its line; ``loading`` is how each model is loaded."""

    binding: Binding
    pool: PoolOptions
    loading: Mapping[str, Any]
    registry: ModelRegistry


def read_options(
    models: tuple[str, ...], aliases: tuple[str, ...], flags: Mapping[str, Any]
) -> ServeOptions:
    """Check everything that can be checked before the server listens; nothing is fetched.

    Raises:
        UsageError: options that are refused, alone or together, or a key that can't be used.
        ModelError: there is no such model.
    """
    from aipc.models.catalogue import CATALOGUE
    from aipc.models.store import Store
    from aipc.pool.model_registry import ModelRegistry

    return ServeOptions(
        Binding(
            **_given(Binding, flags),
            limits=given(ClientLimits, flags) or ClientLimits(),
            api_key=read_key(flags["api_key_file"]),
        ),
        given(PoolOptions, flags) or PoolOptions(),
        plain_loading(flags),
        ModelRegistry(
            models or (CATALOGUE.default.name,),
            Store(),
            aliases,
            adapters=_by_name(flags["adapters"]),
        ),
    )


def _by_name(adapters: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in adapters:
        name, equals, adapter = one.partition("=")
        if not (name and equals and adapter):
            raise UsageError(f"--adapter '{one}' is no NAME=DIR", "write poet=./my-lora, say")
        if name in found:
            raise UsageError(f"--adapter gives {name} twice", "give each its own name")
        found[name] = adapter
    return found


def _greet(binding: Binding, model: str) -> None:
    key = "required of clients" if binding.api_key else f"none; {KEY_VARIABLE} sets one"
    notice(f"page   {binding.url}")
    notice(f"API    {binding.url}/v1")
    notice(f"model  {model}, loading")
    notice(f"key    {key}")


def _given(cls: type, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``cls`` that were given: another of its fields decides what is allowed."""
    names = {field.name for field in dataclasses.fields(cls)}
    return {name: value for name, value in flags.items() if name in names and value is not None}
