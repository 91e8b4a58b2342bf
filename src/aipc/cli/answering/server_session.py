"""A running server's session in place of one that is loaded here, and the flags about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aipc.cli.arguments.command import section
from aipc.cli.arguments.session_flags import make_ready_later, open_session, plain_loading
from aipc.convert.recipe import Recipe
from aipc.devices.device import plain_name
from aipc.errors import AipcError, UsageError
from aipc.options import describe
from aipc.progress import Notify
from aipc.runtimes.openvino.static_shape import NpuOptions
from aipc.serve.http.binding import KEY_VARIABLE, read_key
from aipc.timing_spans import recorded, span
from aipc.units import duration

if TYPE_CHECKING:
    from aipc.models.store import Store
    from aipc.serve.client import RemoteSession
    from aipc.serve.own_server import OwnServer, WantedModel
    from aipc.session.session import Session

F = TypeVar("F", bound=Callable[..., Any])

_DECLARED = [declared.name for kind in (NpuOptions, Recipe) for declared in describe(kind)]
_LOADING = ("runtime", "ov_config", "onnx_config", "emulate", "overflow")
_MOST_STOPS, _LONGEST_STOP = 32, 256  # of a request


def server_flags(command: F) -> F:
    """Whether a running server answers, and which."""
    server = click.option(
        "--server/--no-server",
        default=None,
        help="Say why your running `aipc serve` is not used, or don't look for it. Without either "
        "it answers where it has the model ready, as the other options have it.",
    )
    url = click.option(
        "--server-url",
        metavar="URL",
        help=f"Another server, where it has the model ready; it takes its key from {KEY_VARIABLE}.",
    )
    return section("Server", server, url)(command)


keep_warm_flag = section(
    "Server",
    click.option(
        "--keep-warm",
        metavar="TIME",
        callback=lambda _context, _parameter, text: None if text is None else duration(text),
        help="Leave a server behind that holds the model, and ends so long (90s, 10m, 2h) after "
        "the last request.",
    ),
)


def find_server(
    flags: Mapping[str, Any],
    notify: Notify,
    stop: Sequence[str] = (),
    *,
    tells_tokens: bool = False,
) -> RemoteSession | None:
    """The session of a server that has the model ready; None if it is to be loaded here.

    ``stop`` are the texts that a request is to hold: a server takes fewer than a session.  A server
    does not tell the ids of ``tells_tokens``, where each token's alternatives are wanted.

    Raises:
        UsageError: options that exclude each other, or a key that is wrong.
    """
    _check_together(flags)
    if flags["server_url"] and tells_tokens:
        what = "--top-logprobs is for a model that is loaded here, not at a URL"
        raise UsageError(what, "leave --server-url out")
    if flags.get("keep_warm") is not None and tells_tokens:
        what = "--keep-warm leaves a server behind, and a server does not tell --top-logprobs"
        raise UsageError(what, "leave one of them out")
    if flags["server_url"]:
        return _at_url(flags, notify)
    if flags["server"] is False:
        return None
    if len(stop) > _MOST_STOPS or not all(0 < len(text) <= _LONGEST_STOP for text in stop):
        limits = f"at most {_MOST_STOPS} stop texts of 1 to {_LONGEST_STOP} characters"
        _say_why(flags, notify, f"a server takes {limits}")
        return None
    if tells_tokens:
        _say_why(flags, notify, "a server does not tell the ids of alternatives")
        return None
    return _own(flags, notify)


class ServedSession:
    """A server's session for as long as the server is there; then one that is loaded here."""

    has_failed = False

    def __init__(self, remote: RemoteSession, flags: Mapping[str, Any], notify: Notify) -> None:
        self._remote = remote
        self._flags = flags
        self._notify = notify
        self._loaded: Session | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._remote.facts if self._loaded is None else self._loaded.facts

    def session(self) -> Session | RemoteSession:
        if self._loaded is None and not self._remote.is_reached:
            self._notify("[the server has ended; loading the model here]")
            self._loaded = open_session(self._flags)
        return self._loaded or self._remote

    def close(self) -> None:
        if self._loaded is not None:
            self._loaded.close()
            make_ready_later(self._loaded.facts)


def _check_together(flags: Mapping[str, Any]) -> None:
    if flags["server_url"] and flags["server"] is False:
        raise UsageError("--server-url and --no-server exclude each other", "give one of them")
    keeps_here = flags["server"] is False or flags["server_url"]
    if flags.get("keep_warm") is not None and keeps_here:
        other = "--server-url" if flags["server_url"] else "--no-server"
        raise UsageError(f"--keep-warm and {other} exclude each other", "give one of them")


def _at_url(flags: Mapping[str, Any], notify: Notify) -> RemoteSession | None:
    _refuse_loading(flags)
    from aipc.models.catalogue import CATALOGUE
    from aipc.serve.client import NotServed, connect

    model, device = flags["model"] or CATALOGUE.default.name, plain_name(flags["device"])
    try:
        return connect(flags["server_url"], model, device, key=read_key(None), notify=notify)
    except NotServed as error:
        notify(f"{error}; loading it here")
        return None


def _refuse_loading(flags: Mapping[str, Any]) -> None:
    loading = [name for name in _DECLARED if flags.get(name) is not None]
    loading += [name for name in _LOADING if flags.get(name) and flags[name] != "auto"]
    loading += [f"no-{name}" for name in ("canary", "watch", "probe") if flags.get(name) is False]
    if loading:
        raise UsageError(
            f"--{loading[0].replace('_', '-')} is for a model that is loaded here, not at a URL",
            "leave it or --server-url out",
        )


def _own(flags: Mapping[str, Any], notify: Notify) -> RemoteSession | None:
    from aipc.models.store import Store

    store = Store()
    keep_s = flags.get("keep_warm")
    if keep_s is None and not any(store.servers.glob("*.json")):  # looking costs no import then
        _say_why(flags, notify, "no `aipc serve` of yours runs")
        return None
    if _takes_adapters(flags):
        _say_why(flags, notify, "adapters of an artifact are loaded here")
        return None
    from aipc.serve.client import NotServed
    from aipc.serve.own_server import find

    wanted = _wanted(flags)
    try:
        with recorded() as stages, span("find the server"):
            server, loaded = find(store.servers, wanted, notify)
    except NotServed as error:
        if keep_s is not None:
            return _left_behind(wanted, store, keep_s, notify)
        _say_why(flags, notify, str(error))
        return None
    session = server.session(loaded, wanted, notify)
    session.stages = tuple(stages)
    how = "--no-server loads it here" if keep_s is None else _time_kept(loaded["exit_idle_s"])
    notify(f"using the model that aipc serve has ready ({_where(server, loaded)}; {how})")
    return session


def _takes_adapters(flags: Mapping[str, Any]) -> bool:
    """Whether adapters are to be loaded beside an artifact, which no server has so."""
    from aipc.models import names
    from aipc.models.source import ArtifactSource

    base, adapters = names.split(flags["model"] or "")
    return bool(adapters) and isinstance(names.resolve(base), ArtifactSource)


def _wanted(flags: Mapping[str, Any]) -> WantedModel:
    from aipc.models import names
    from aipc.models.catalogue import CATALOGUE, model_name
    from aipc.serve.own_server import WantedModel

    source = names.resolve(flags["model"] or CATALOGUE.default.name)
    loading = {**plain_loading(flags), "work": "serve"}
    return WantedModel(source.name, model_name(source), loading)


def _left_behind(
    wanted: WantedModel, store: Store, keep_s: float, notify: Notify
) -> RemoteSession | None:
    from aipc.serve.background import BackgroundServer

    notify(f"starting a server that keeps the model for {keep_s:g} s after the last request")
    try:
        with recorded() as stages, span("start a server that has the model"):
            background = BackgroundServer(wanted.label, wanted.loading, keep_s, store)
            loaded = background.wait(notify)
    except AipcError as error:
        notify(f"no server is left behind: {error}; loading the model here")
        return None
    notify(f"the server is ready ({_where(background.server, loaded)})")
    session = background.server.session(loaded, wanted, notify)
    session.stages = tuple(stages)
    return session


def _where(server: OwnServer, loaded: Mapping[str, Any]) -> str:
    return f"pid {server.pid}, on {str(loaded['facts'].get('device', '?')).lower()}"


def _time_kept(exit_idle_s: float | None) -> str:
    """Of a server that is there already, whatever --keep-warm says."""
    if exit_idle_s is None:
        return "it stays until it is stopped"
    return f"it stays for {exit_idle_s:g} s after the last request, as it was started"


def _say_why(flags: Mapping[str, Any], notify: Notify, reason: str) -> None:
    if flags["server"]:
        notify(f"{reason}; loading the model here")
