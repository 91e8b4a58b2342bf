"""The page in a browser, on the whole server, over a pool that says what a test tells it to."""

from __future__ import annotations

import pytest
from chromium import launched
from running_server import RunningServer
from scripted_pool import ScriptedPool

from aipc.devices.counters.counter import Reading
from aipc.devices.counters.monitor import Snapshot
from aipc.devices.system.memory import Memory
from aipc.serve.api.health import MachineBody


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def pool():
    return ScriptedPool()


@pytest.fixture(scope="module")
def server(pool, tmp_path_factory):
    server = RunningServer(lambda: pool, tmp_path_factory.mktemp("running"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def key():
    return "a-key-of-sixteen-or-more"


@pytest.fixture(scope="module")
def locked(pool, key, tmp_path_factory):
    """A server that asks for the key."""
    server = RunningServer(lambda: pool, tmp_path_factory.mktemp("running"), api_key=key)
    yield server
    server.stop()


@pytest.fixture
def served(server, pool):
    """The pool, ready for this test's script."""
    pool.reset()
    return pool


@pytest.fixture
def context(browser, served):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(5000)
    context.route("**/api/machine", lambda route: route.fulfill(json=machine_body()))
    yield context
    context.close()


def machine_body():
    npu = Reading(
        "npu", "Intel AI Boost", busy_share=0.37, memory_used_bytes=2_400_000_000, power_w=5.8
    )
    memory = Memory(32_000_000_000, 20_000_000_000)
    facts = Snapshot(0.0, (npu, Reading("cpu", "Some CPU")), memory, ()).facts
    names = {"npu": "Intel AI Boost", "cpu": "Some CPU"}
    places = [{"device": one, "name": name, "runtimes": []} for one, name in names.items()]
    return MachineBody(**facts, places=places, models=[], allows=[]).model_dump(mode="json")


@pytest.fixture
def page(context, server, served):
    """The page, opened; no script may have failed in it, and nothing been fetched elsewhere."""
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    own = (server.url, "blob:")
    page.on("request", lambda asked: asked.url.startswith(own) or faults.append(asked.url))
    page.on("console", lambda line: "Content Security" in line.text and faults.append(line.text))
    page.goto(server.url)
    page.wait_for_selector("#model option", state="attached")
    yield page
    assert faults == []


@pytest.fixture(scope="module")
def blank(browser, server):
    """A page whose modules are tried by themselves."""
    page = browser.new_page()
    page.goto(server.url)
    yield page
    page.close()
