"""One server with the small real model for all the rows here."""

from __future__ import annotations

import httpx2
import pytest
from raw_client import RawClient
from served import EXACT, served

MODEL = "smollm2-135m"
FLAGS = ("--head-s", "3", "--body-s", "3", "--max-connections", "256")


@pytest.fixture(scope="session")
def running(small_store, smollm_gguf):
    with served(small_store, "-m", MODEL, "--device", "cpu", *FLAGS, *EXACT) as server:
        server.wait_for("is ready on cpu")
        body = {"model": MODEL, "prompt": "Hi", "max_tokens": 1}
        assert httpx2.post(f"{server.url}/v1/completions", json=body, timeout=60).is_success
        yield server


@pytest.fixture
def client(running):
    client = RawClient(running.url)
    yield client
    client.close()
