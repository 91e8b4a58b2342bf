"""The same application on Ray Serve: a model behind as many replicas as a cluster has room for.

    serve run aipc.serve.ray:deployment model=phi-3-mini replicas=4

Every replica has the one model on the one device, in a worker process of its own, and gets requests
once that has produced a token.  Serve starts, watches and ends the replicas; nothing of that is
written here.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Receive, Scope, Send

from aipc import telemetry
from aipc.cluster.connection import connected
from aipc.cluster.each_node import prepare_process
from aipc.cluster.nodes import needs, own_resources
from aipc.devices import reachable_devices, resolve_device
from aipc.devices.device import plain_name
from aipc.errors import AipcError, UsageError
from aipc.models.catalogue import CATALOGUE
from aipc.options import check, describe, from_mapping, option
from aipc.pool.failures import WorkerDied
from aipc.pool.fair_queue import FAILURES
from aipc.pool.options import PoolOptions
from aipc.pool.pool import Pool
from aipc.serve.app import Application
from aipc.serve.http.binding import Binding, is_loopback, read_key
from aipc.serve.http.errors import error_response
from aipc.wire.errors import HTTPError, openai_error

if TYPE_CHECKING:
    from ray import serve

_NAME = "aipc"
_HOST = "127.0.0.1"
_BESIDE = 16
"""Requests that a replica takes beside its answers: for its models, its health, its page."""
_MARGIN_S = 10.0
"""For a replica's end after its answers': a worker takes 4 seconds at most."""


@dataclasses.dataclass(frozen=True)
class DeploymentOptions:
    """What ``serve run`` takes as NAME=VALUE."""

    model: str = option(CATALOGUE.default.name, "what each replica loads, as `aipc serve -m`")
    device: str = option("auto", "where: auto, npu, gpu, cpu …")
    replicas: int = option(1, "how many there are", minimum=1)
    per_node: int = option(1, "most replicas of one node: each uses a whole device", minimum=1)
    cpus: int = option(1, "cores of Ray's that a replica on the CPU holds", minimum=0)
    port: int = option(8000, "where Serve's proxies listen", minimum=1, maximum=65535)
    allow_host: str = option("", "further names that clients call it by, with commas between")
    api_key_file: str = option("", "the key that clients have to show, else AIPC_API_KEY's")
    max_running: int = option(64, "answers at once from one replica", minimum=1)
    drain_s: float = option(
        30.0, "seconds that answers under way get when a replica ends", minimum=0.0
    )

    def __post_init__(self) -> None:
        check(self)


def run(arguments: Mapping[str, Any], address: str | None = None) -> None:
    """Serve until Ctrl-C, on a cluster, or on a Ray started here that nobody else reaches.

    Then answers under way end, as when a replica ends.

    Args:
        arguments: as `deployment` takes them.
        address: as for `aipc.cluster.connection.connected`.

    Raises:
        AipcError: as `deployment`, or Ray can't be started or reached.
    """
    options = read_options(arguments)
    own = _own_devices(options.device) if address is None else {}
    with connected(address, **own):
        from ray import serve

        serve.start(http_options={"host": _HOST, "port": options.port})
        try:
            with suppress(KeyboardInterrupt):
                serve.run(deployment(arguments), name=_NAME, blocking=True)
        finally:
            serve.delete(_NAME)


def _own_devices(device: str) -> dict[str, Any]:
    """What a Ray that is started here has to give out, as `connected` takes it.

    Raises:
        DeviceError: ``device`` is none of this machine's.
    """
    if plain_name(device) in {"auto", "cpu"}:
        return {}
    devices = reachable_devices()
    resolve_device(device, [one.name for one in devices])
    found = own_resources(devices)
    return {"gpus": found.pop("GPU", None), "resources": found}


def deployment(arguments: Mapping[str, Any]) -> serve.Application:
    """The application that ``serve run`` and `ray.serve.run` take, by `DeploymentOptions`.

    The key is read here, from ``api_key_file`` or ``AIPC_API_KEY``, and given to the replicas.

    Raises:
        UsageError: an unknown option or a bad value, or the key can't be read.
    """
    options = read_options(arguments)
    binding = Binding(
        port=options.port,
        drain_s=options.drain_s,
        allowed_hosts=tuple(filter(None, map(str.strip, options.allow_host.split(",")))),
        api_key=read_key(Path(options.api_key_file) if options.api_key_file else None),
    )
    return replicated(options).bind(options, binding, open_pool)


def read_options(arguments: Mapping[str, Any]) -> DeploymentOptions:
    """From texts, as a command line has them, or from values.

    Raises:
        UsageError: naming the option.
    """
    kinds = {one.name: one.kind for one in describe(DeploymentOptions)}
    values = {name: _read(value, kinds.get(name, str)) for name, value in arguments.items()}
    return from_mapping(DeploymentOptions, values)


def _read(value: Any, kind: type) -> Any:
    """A number from its text; what is none is left for the options' own check to refuse."""
    with suppress(ValueError):
        return kind(value) if isinstance(value, str) else value
    return value


def replicated(options: DeploymentOptions) -> serve.Deployment:
    """`Replica` as a deployment of Serve's, to be bound to its arguments."""
    from ray import serve

    telemetry.switch_off()  # Ray's too, where it is started after this
    made: serve.Deployment = serve.deployment(
        serve.ingress()(_ServedReplica),
        name=_NAME,
        num_replicas=options.replicas,
        max_replicas_per_node=options.per_node,
        ray_actor_options=needs(options.device, options.cpus),
        max_ongoing_requests=options.max_running + _BESIDE,
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=options.drain_s + _MARGIN_S,
    )
    return made


def open_pool(options: DeploymentOptions) -> Pool:
    """The pool of one replica, which answers with its model on its device alone."""
    from aipc.models.store import Store
    from aipc.pool.model_registry import ModelRegistry

    registry = ModelRegistry((options.model,), Store(), only_named=True)
    limits = PoolOptions(max_running=options.max_running)
    return _OneDevicePool(registry, limits, device=options.device, loading={"work": "serve"})


class _OneDevicePool(Pool):
    """A request that names another device is refused, so that a replica keeps to one worker."""

    async def _device_names(self, device: str | None) -> tuple[str, ...]:
        if device is not None and device.lower() != self.device:
            raise UsageError(
                f"every replica here answers on the device '{self.device}'", "leave device out"
            )
        return (self.device,)


class Replica:
    """One replica: opened, asked, watched and closed on one event loop."""

    def __init__(
        self,
        options: DeploymentOptions,
        binding: Binding,
        make_pool: Callable[[DeploymentOptions], Pool],
    ) -> None:
        telemetry.switch_off()
        self._binding = binding
        self._pool = make_pool(options)
        self._loading: asyncio.Task[None] | None = None

    async def open(self) -> ASGIApp:
        """The application, when its model has produced a token: Serve sends no request before.

        Raises:
            AipcError: the model can't be loaded.
        """
        from aipc.devices.counters.monitor import Monitor
        from aipc.devices.counters.watch import find_counters

        model = (await asyncio.to_thread(self._pool.models))[0].name
        try:
            await self._pool.load(model)
        except AipcError:
            await self._pool.close()
            raise
        monitor = Monitor(find_counters(), self._pool.store.running)
        # what one replica kept the next would not have: batches of a cluster are `aipc batch --ray`
        app = Application(self._pool, self._binding, monitor, keeps_batches=False)
        return LoopbackUnlessKeyed(app, self._binding)

    async def check_health(self) -> None:
        """Serve replaces a replica for which this fails three times in a row.

        While its model loads a replica is alive; a worker that has died is started again, be
        there requests or not.

        Raises:
            WorkerDied: it failed `FAILURES` times and produced no answer in between.
        """
        for status in self._pool.statuses():
            if status.failures >= FAILURES:
                raise WorkerDied(f"'{status.model}' failed {status.failures} times in a row")
            if status.state == "failed" and (self._loading is None or self._loading.done()):
                self._loading = asyncio.create_task(self._load(status.model))

    async def _load(self, model: str) -> None:
        with suppress(AipcError):  # it is in the pool's status, which the next check reads
            await self._pool.load(model)

    async def close(self) -> None:
        """End the worker, and what is left of its answers."""
        if self._loading is not None:
            self._loading.cancel()
        await self._pool.close(self._binding.drain_s)


class _ServedReplica(Replica):
    """By the names that Serve calls; the second when the replica's requests have ended."""

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        prepare_process()
        _keep_to_loopback()
        return await self.open()

    async def __del__(self) -> None:
        await self.close()


def _keep_to_loopback() -> None:
    """On a Ray that listens on the loopback alone, have this replica do so too.

    Serve 2.60 opens a port of every replica on every address, for calls of other deployments
    through gRPC, which has no key and takes pickled requests; its address is no option.
    """
    from ray.serve._private import replica
    from ray.util import get_node_ip_address

    if is_loopback(get_node_ip_address()):
        listen = replica.add_port_to_grpc_server
        replica.add_port_to_grpc_server = lambda server, _: listen(server, f"{_HOST}:0")


class LoopbackUnlessKeyed:
    """ASGI middleware: without a key only what arrives at a loopback address is answered.

    Serve's proxies listen where the cluster's operator has them, which may be every address.
    """

    def __init__(self, app: ASGIApp, binding: Binding) -> None:
        self._app = app
        self._has_key = binding.api_key is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not (self._has_key or _is_local(scope)):
            what = "this server is reached from other machines and has no key; set AIPC_API_KEY"
            await error_response(HTTPError(403, what), openai_error)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_local(scope: Scope) -> bool:
    return is_loopback((scope.get("server") or ("",))[0])
