"""``--server``: have a server that runs already answer, where it has the model ready."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aipc.convert.recipe import Recipe
from aipc.devices.names import plain_name
from aipc.errors import UsageError
from aipc.options import describe
from aipc.runtimes.openvino.static_shape import NpuOptions
from aipc.serve.http.binding import KEY_VARIABLE, Binding, read_key

if TYPE_CHECKING:
    from aipc.serve.client import RemoteSession

F = TypeVar("F", bound=Callable[..., Any])

URL = Binding().url
_DECLARED = [declared.name for kind in (NpuOptions, Recipe) for declared in describe(kind)]
_PLACE = ("runtime", "ov_config", "onnx_config", "emulate", "overflow")


def server_flags(command: F) -> F:
    decorators = (
        click.option(
            "--server",
            is_flag=True,
            help="Use the running `aipc serve`, where it has the model ready; load it otherwise.",
        ),
        click.option(
            "--server-url",
            metavar="URL",
            help=f"Another server than {URL}; it takes its key from {KEY_VARIABLE}.",
        ),
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def find_server(flags: Mapping[str, Any], notify: Callable[[str], None]) -> RemoteSession | None:
    """The server's model; None, with a notice where one was requested, if it is to be loaded here.

    Raises:
        UsageError: an option of how a model is loaded is given too, or the key is wrong.
    """
    if not (flags.get("server") or flags.get("server_url")):
        return None
    _refuse_loading(flags)
    from aipc.models.catalogue import CATALOGUE
    from aipc.serve.client import NotServed, connect

    url = flags["server_url"] or URL
    model = flags["model"] or CATALOGUE.default.name
    try:
        return connect(url, model, plain_name(flags["device"]), key=read_key(None), notify=notify)
    except NotServed as error:
        notify(f"{error}; loading it here")
        return None


def _refuse_loading(flags: Mapping[str, Any]) -> None:
    given = [name for name in _DECLARED if flags.get(name) is not None]
    given += [name for name in _PLACE if flags.get(name) and flags[name] != "auto"]
    if given:
        raise UsageError(
            f"--{given[0].replace('_', '-')} is for a model that is loaded here, not on a server",
            "leave it or --server out",
        )
