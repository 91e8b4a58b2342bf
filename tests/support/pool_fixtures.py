"""A pool whose workers are real processes and whose models are fake."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import fake_session
import pytest
from running_server import RunningServer
from scripted_pool import DEVICES

from aipc.generate.request import GenerationRequest
from aipc.models.source import HubSource
from aipc.models.store import Store
from aipc.pool.model_registry import ModelCard
from aipc.pool.options import PoolOptions
from aipc.pool.pool import Pool
from aipc.pool.worker.messages import Waiting

SUPPORT = Path(fake_session.__file__).parent
FAKE_BYTES = 1_000_000


class FakeDevices:
    async def read(self):
        return DEVICES


class FakeRegistry:
    """Models of the given names and sizes; MODEL:NAME is an adapter of one."""

    def __init__(self, home: Path, names: Mapping[str, int]) -> None:
        self.store = Store(home)
        for name, nbytes in ((one, names[one]) for one in names if ":" not in one):
            (home / name).mkdir(parents=True, exist_ok=True)
            with (home / name / "weights").open("wb") as weights:
                weights.truncate(nbytes)  # as large as that, and nothing in it
        self._cards = {
            name: ModelCard(name, name, HubSource(f"org/{name}"), f"the fake {name}", nbytes, 0)
            for name, nbytes in names.items()
        }
        for name, card in self._cards.items():
            base, colon, adapter = name.partition(":")
            if colon:
                self._cards[name] = replace(card, base=base, adapter=adapter)

    def cards(self) -> Mapping[str, ModelCard]:
        return self._cards

    def find(self, name: str) -> ModelCard | None:
        return self._cards.get(name)


@pytest.fixture(autouse=True)
def _workers_find_the_fake(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT), prepend=os.pathsep)


@pytest.fixture
def fake_registry(tmp_path):
    """Call it with names (and sizes) to get a registry of fake models."""

    def make(*names: str, **sizes: int) -> FakeRegistry:
        return FakeRegistry(tmp_path / "home", dict.fromkeys(names, FAKE_BYTES) | sizes)

    return make


@pytest.fixture
def fake_pool(fake_registry):
    """An async context manager around a pool of fake models, which it closes."""

    @asynccontextmanager
    async def opened(*names: str, sizes: Mapping[str, int] | None = None, **options):
        registry = fake_registry(*(names or ("fake",)), **(sizes or {}))
        pool = Pool(
            registry, PoolOptions(**options), loader=fake_session.LOADER, device_list=FakeDevices()
        )
        try:
            yield pool
        finally:
            await pool.close()

    return opened


@pytest.fixture
def request_of():
    """A user's one message as a request."""

    def make(text: str, client: str = "", **more) -> GenerationRequest:
        return GenerationRequest(
            messages=[{"role": "user", "content": text}], client=client, **more
        )

    return make


@pytest.fixture
def answer_of(request_of):
    """The whole answer of a pool: its text, its end, and its positions while it waited."""

    async def whole(pool: Pool, text: str, model: str = "fake", client: str = "", **more):
        events = [one async for one in pool.answer(model, None, request_of(text, client, **more))]
        texts = [one.text for one in events if not isinstance(one, Waiting)]
        waits = [one.position for one in events if isinstance(one, Waiting)]
        return "".join(texts), events[-1], waits

    return whole


@pytest.fixture
def run_async():
    """Run a coroutine, and see that it leaves no task behind."""

    def run(coroutine, limit_s: float = 30.0):
        async def watched():
            result = await asyncio.wait_for(coroutine, limit_s)
            await asyncio.sleep(0.01)
            assert len(asyncio.all_tasks()) == 1
            return result

        return asyncio.run(watched())

    return run


@pytest.fixture(scope="module")
def serve_fakes(tmp_path_factory):
    """Start a server over fake models; call it with their names, options and a binding's fields."""
    started = []

    def start(*names: str, options: Mapping[str, object] | None = None, **binding):
        home = tmp_path_factory.mktemp("home")
        registry = FakeRegistry(home, dict.fromkeys(names or ("fake",), FAKE_BYTES))

        def make() -> Pool:
            limits = PoolOptions(**(options or {}))
            loader, devices = fake_session.LOADER, FakeDevices()
            return Pool(registry, limits, loader=loader, device_list=devices)

        started.append(RunningServer(make, home, **binding))
        return started[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SUPPORT), prepend=os.pathsep)
        yield start
        for server in started:
            server.stop()


@pytest.fixture(scope="module")
def server(serve_fakes):
    """One server for a module's tests, whose model "fake" is ready."""
    server = serve_fakes()
    with server.client() as client:
        body = {"model": "fake", "messages": [{"role": "user", "content": "x"}]}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
    return server


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client
