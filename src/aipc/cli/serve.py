"""``aipc serve``: the APIs that clients know and a page in the browser, on this computer."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import click

from aipc.cli.command_group import Invocation
from aipc.cli.option_flags import flags_of, given
from aipc.cli.output import notice
from aipc.cli.session_flags import MODEL_HELP, device_flags, plain_loading
from aipc.pool.options import PoolOptions
from aipc.serve.http.binding import KEY_VARIABLE, Binding, read_key


@click.command()
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help=f"{MODEL_HELP} Repeat it for more; the first, or the default model, is loaded at once.",
)
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    metavar="NAME=MODEL",
    help="Another name for a model here, such as 'claude-*=MODEL'; repeatable.",
)
@flags_of(Binding)
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
@flags_of(PoolOptions)
@device_flags
def serve(
    models: tuple[str, ...],
    aliases: tuple[str, ...],
    allowed_hosts: tuple[str, ...],
    allowed_origins: tuple[str, ...],
    api_key_file: Path | None,
    **flags: Any,
) -> None:
    """Answer OpenAI's, Anthropic's and Ollama's API, and people in a browser, from models here.

    Requests may name the models given here and those whole in the store; each is loaded when it
    is first requested, and the one unused for longest goes when memory is short. Ctrl-C,
    SIGTERM or SIGHUP lets answers under way end, a second Ctrl-C does not.
    """
    binding = Binding(
        **_given(Binding, flags),
        allowed_hosts=allowed_hosts,
        allowed_origins=allowed_origins,
        api_key=read_key(api_key_file),
    )
    options = given(PoolOptions, flags) or PoolOptions()
    _serve(models, aliases, binding, options, plain_loading(flags))


def _serve(
    models: tuple[str, ...],
    aliases: tuple[str, ...],
    binding: Binding,
    options: PoolOptions,
    loading: dict[str, Any],
) -> None:
    from aipc.devices.counters.monitor import Monitor
    from aipc.devices.counters.watch import find_counters
    from aipc.models.names import CATALOGUE
    from aipc.models.store import Store
    from aipc.pool.model_registry import ModelRegistry
    from aipc.pool.pool import Pool
    from aipc.serve import server
    from aipc.serve.announcement import announced
    from aipc.serve.http.listening import listen

    store = Store()
    registry = ModelRegistry(models or (CATALOGUE.default.name,), store, aliases)
    loading["work"] = "serve"
    pool = Pool(registry, options, device=loading.pop("device"), loading=loading)
    monitor = Monitor(find_counters(), store.running)
    listeners, binding = listen(binding)
    debug = click.get_current_context().ensure_object(Invocation).debug
    server.log_to(logging.StreamHandler(), debug=debug)
    first = pool.models()[0].name
    _greet(binding, first)
    with announced(store.servers, binding, notice):
        server.serve(pool, monitor, listeners, binding, first=first, notify=notice)


def _greet(binding: Binding, model: str) -> None:
    key = "required of clients" if binding.api_key else f"none; {KEY_VARIABLE} sets one"
    notice(f"page   {binding.url}")
    notice(f"API    {binding.url}/v1")
    notice(f"model  {model}, loading")
    notice(f"key    {key}")


def _given(cls: type, flags: dict[str, Any]) -> dict[str, Any]:
    """The options of ``cls`` that were given: another of its fields decides what is allowed."""
    names = {field.name for field in dataclasses.fields(cls)}
    return {name: value for name, value in flags.items() if name in names and value is not None}
