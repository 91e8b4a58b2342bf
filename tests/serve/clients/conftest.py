"""One real server with the small real model for the tests of all clients."""

from __future__ import annotations

import pytest
from client_requests import KEY, MODEL
from served import EXACT, served


@pytest.fixture(scope="session")
def api_url(small_store, smollm_gguf):
    with served(small_store, "-m", MODEL, "--device", "cpu", *EXACT, AIPC_API_KEY=KEY) as running:
        running.wait_for("is ready on cpu")
        yield f"{running.url}/v1"
