from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import fake_session
import httpx2
import psutil
import pytest
import ray_fakes
from ray_cluster import needs_ray
from starlette.responses import PlainTextResponse

from aipc.cluster.connection import connected
from aipc.errors import AipcError, DeviceError, UsageError
from aipc.pool.failures import WorkerDied
from aipc.serve.http.binding import Binding
from aipc.serve.ray import (
    DeploymentOptions,
    LoopbackUnlessKeyed,
    Replica,
    deployment,
    open_pool,
    read_options,
    replicated,
    run,
)

pytestmark = pytest.mark.filterwarnings("ignore:Using extra keyword:DeprecationWarning")  # Serve's
SUPPORT = Path(fake_session.__file__).parent
WAIT_S = 30


def body(text, **more):
    return {"model": "fake", "messages": [{"role": "user", "content": text}], **more}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


async def until(condition, limit_s=WAIT_S):
    for _ in range(10 * limit_s):
        if condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError


@pytest.fixture
def replica_of(tmp_path):
    """Call it with a fake model's name to get an open replica."""

    async def opened(model):
        make_pool = partial(ray_fakes.make_pool, tmp_path)
        replica = Replica(DeploymentOptions(model=model), Binding(drain_s=1.0), make_pool)
        await replica.open()
        return replica

    return opened


def test_options_are_read_from_texts_and_refused_by_name():
    found = read_options({"model": "phi-3-mini", "replicas": "4", "cpus": "2"})
    assert (found.replicas, found.cpus, found.device) == (4, 2, "auto")
    with pytest.raises(UsageError, match="unknown option 'replica'; did you mean 'replicas'"):
        read_options({"replica": "4"})
    with pytest.raises(UsageError, match="--replicas takes int, not 'many'"):
        read_options({"replicas": "many"})
    with pytest.raises(UsageError, match="below its minimum"):
        read_options({"replicas": "0"})


def test_a_device_that_is_not_here_is_refused_before_ray_is_started():
    with pytest.raises(DeviceError, match="this machine has no"):
        run({"device": "gpu.7"})


def test_a_replica_is_made_when_its_model_has_produced_a_token(run_async, replica_of):
    async def once():
        replica = await replica_of("slow")
        [status] = replica._pool.statuses()
        await replica.close()
        return status

    assert run_async(once()).state == "ready"


def test_a_model_that_does_not_load_makes_no_replica(run_async, replica_of):
    with pytest.raises(AipcError, match="the fake has no such device"):
        run_async(replica_of("broken"))


def test_a_dead_worker_is_started_again_without_a_request(run_async, replica_of):
    async def killed():
        replica = await replica_of("fake")
        [before] = replica._pool.statuses()
        os.kill(before.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        await until(lambda: replica._pool.statuses()[0].state == "failed")
        await replica.check_health()
        await until(lambda: replica._pool.statuses()[0].state == "ready")
        [after] = replica._pool.statuses()
        await replica.check_health()
        await replica.close()
        return before, after

    before, after = run_async(killed())
    assert after.pid != before.pid
    assert after.restarts == 1


def test_a_replica_whose_worker_keeps_failing_is_not_healthy(run_async, replica_of, request_of):
    async def failing():
        replica = await replica_of("fake")
        healthy = []
        for _ in range(3):
            healthy.append(await is_healthy(replica))
            with pytest.raises(WorkerDied):
                [_ async for _ in replica._pool.answer("fake", None, request_of("die"))]
            await until(lambda: replica._pool.statuses()[0].state == "failed")
        healthy.append(await is_healthy(replica))
        await replica.close()
        return healthy

    assert run_async(failing()) == [True, True, True, False]


async def is_healthy(replica):
    try:
        await replica.check_health()
    except WorkerDied:
        return False
    if replica._loading is not None:
        await replica._loading
    return True


def test_a_replica_offers_its_model_on_its_device_alone(run_async, tmp_path, monkeypatch):
    monkeypatch.setenv("AIPC_HOME", str(tmp_path))

    async def offered():
        pool = open_pool(DeploymentOptions(model="smollm2-135m", device="cpu"))
        names = [card.name for card in pool.models()]
        with pytest.raises(UsageError, match="answers on the device 'cpu'; leave device out"):
            await pool.load(names[0], "gpu")
        return names

    assert run_async(offered()) == ["smollm2-135m"]


@pytest.mark.parametrize(
    ("server", "key", "status"),
    [
        (("127.0.0.1", 8000), None, 200),
        (("::1", 8000), None, 200),
        (("192.0.2.7", 8000), None, 403),
        (("192.0.2.7", 8000), "0123456789abcdef", 200),
        (None, None, 403),
    ],
)
def test_without_a_key_only_this_machine_is_answered(run_async, server, key, status):
    app = LoopbackUnlessKeyed(PlainTextResponse("hello"), Binding(api_key=key))
    sent = []

    async def ask():
        async def send(message):
            sent.append(message)

        await app({"type": "http", "method": "GET", "server": server}, None, send)

    run_async(ask())
    assert sent[0]["status"] == status


@pytest.fixture(scope="module")
def deploy(tmp_path_factory):
    """Deploy so many replicas of fakes on a Ray of this module's own."""
    port = free_port()
    make_pool = partial(ray_fakes.make_pool, tmp_path_factory.mktemp("replicas"))

    def deployed(replicas):
        from ray import serve

        options = DeploymentOptions(model="fake", replicas=replicas, per_node=2, cpus=0, port=port)
        made = replicated(options)
        serve.run(made.bind(options, Binding(port=port), make_pool))
        states = serve.status().applications["default"].deployments["aipc"].replica_states
        assert states["RUNNING"] == replicas
        return f"http://127.0.0.1:{port}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SUPPORT), prepend=os.pathsep)
        with connected(cpus=1):
            from ray import serve

            serve.start(http_options={"host": "127.0.0.1", "port": port})
            yield deployed
            serve.shutdown()


@pytest.fixture(scope="module")
def client(deploy):
    """Of two replicas."""
    with httpx2.Client(base_url=deploy(2), timeout=WAIT_S, trust_env=False) as client:
        yield client


@needs_ray
def test_answers_come_whole_and_streamed_as_they_are_made(client):
    whole = client.post("/v1/chat/completions", json=body("hello you"))
    assert whole.json()["choices"][0]["message"]["content"] == "hello you "
    asked = body("count 4 every 0.3", stream=True)
    with client.stream("POST", "/v1/chat/completions", json=asked) as response:
        arrived = [(time.monotonic(), line) for line in response.iter_lines() if line]
    assert arrived[-1][1] == "data: [DONE]"
    assert arrived[-1][0] - arrived[0][0] > 0.5
    refused = client.get("/health", headers={"Host": "rebound.example"})
    assert refused.status_code == 421


@needs_ray
def test_an_answer_whose_client_has_left_is_ended(client):
    def under_way():
        """Of whichever replicas answer."""
        told = [client.get("/api/machine").json()["models"][0] for _ in range(12)]
        return sum(one["running"] for one in told)

    asked = body("count 1000 every 0.1", stream=True)
    with client.stream("POST", "/v1/chat/completions", json=asked):
        asyncio.run(until(under_way))
    asyncio.run(until(lambda: not under_way()))


@needs_ray
def test_a_dead_worker_costs_its_answers_alone(client):
    assert client.post("/v1/chat/completions", json=body("die")).status_code == 503
    for _ in range(6):
        again = client.post("/v1/chat/completions", json=body("hello"))
        assert again.json()["choices"][0]["message"]["content"] == "hello "


@needs_ray
def test_replicas_that_are_taken_away_finish_their_answers(deploy, client):
    def ask():
        asked = client.post("/v1/chat/completions", json=body("count 30 every 0.1"))
        return asked.json()["usage"]["completion_tokens"]

    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(ask) for _ in range(6)]
        time.sleep(1.0)
        deploy(1)
        assert [one.result() for one in asking] == [30] * 6


@needs_ray
@pytest.mark.skipif(sys.platform != "linux", reason="psutil shows others' sockets on Linux")
def test_nothing_of_it_listens_beyond_the_loopback(client):
    assert client.get("/health").status_code == 200
    opened = [
        (process.name(), one.laddr.ip.removeprefix("::ffff:"))
        for process in psutil.Process().children(recursive=True)
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    assert any("Serve" in name for name, _ in opened)
    assert {(name, ip) for name, ip in opened if ip not in {"127.0.0.1", "::1"}} == set()


@needs_ray
def test_the_builder_reads_the_key_and_binds_the_application(tmp_path):
    from ray import serve

    key = tmp_path / "key"
    key.write_text("0123456789abcdef\n", "utf-8")
    arguments = {"model": "phi-3-mini", "api_key_file": str(key), "allow_host": "pc.example, pc"}
    assert isinstance(deployment(arguments), serve.Application)
    key.write_text("short", "utf-8")
    with pytest.raises(UsageError, match="can't be used"):
        deployment(arguments)


PROGRAM = "from aipc.serve.ray import run; run({'model': 'smollm2-135m', 'port': PORT})"


@needs_ray
@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="it is ended by Ctrl-C")
def test_run_serves_the_small_model_until_ctrl_c_and_finishes_its_answers(small_store):
    port = free_port()
    program = PROGRAM.replace("PORT", str(port))
    environment = {**os.environ, "AIPC_HOME": str(small_store.home)}
    asked = {"model": "smollm2-135m", "prompt": "Once", "max_tokens": 200, "ignore_eos": True}
    with (
        subprocess.Popen([sys.executable, "-c", program], env=environment) as process,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client,
        ThreadPoolExecutor() as pool,
    ):
        asyncio.run(until(lambda: is_alive(client), 180))
        started = psutil.Process(process.pid).children(recursive=True)
        answering = pool.submit(client.post, "/v1/completions", json=asked)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        assert answering.result().json()["usage"]["completion_tokens"] == 200
        assert process.wait(60) == 0
    assert psutil.wait_procs(started, 15)[1] == []


def is_alive(client):
    try:
        return client.get("/health").status_code == 200
    except httpx2.TransportError:
        return False
