"""A server whose answers are written down, and which remembers what it was asked."""

from __future__ import annotations

import json

import pytest
from running_server import RunningServer
from scripted_pool import ScriptedPool


@pytest.fixture(scope="module")
def scripted_server(tmp_path_factory):
    pool = ScriptedPool()
    server = RunningServer(lambda: pool, tmp_path_factory.mktemp("running"))
    yield server, pool
    server.stop()


@pytest.fixture
def scripted(scripted_server):
    _, pool = scripted_server
    pool.reset()
    pool.script = ["Hi", " there"]
    return pool


@pytest.fixture
def ask(scripted_server, scripted):
    """Post a body; the one request that became of it."""
    server, _ = scripted_server

    def post(path, **body):
        with server.client() as client:
            response = client.post(path, json={"model": "tiny", "stream": False, **body})
        assert response.status_code == 200, response.text
        ((_, _, asked),) = scripted.asked
        return asked

    return post


@pytest.fixture
def lines():
    """The replies of a stream."""

    def parse(response):
        assert response.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in response.text.splitlines()]

    return parse
