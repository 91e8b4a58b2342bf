"""/api/pull and /api/delete, from a hub on loopback, where the operator allows them."""

from __future__ import annotations

import pytest
from fake_hub import Repo, hubs
from running_server import RunningServer

from aipc.models import transfer
from aipc.models.staging import locked
from aipc.models.store import Store
from aipc.pool.model_registry import ModelRegistry
from aipc.pool.pool import Pool

FILES = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": bytes(range(256)) * 2000,
    "tokenizer.json": b"{}",
}


@pytest.fixture
def hub(monkeypatch):
    with hubs() as start:
        hub = start()
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(transfer, "PAUSE_S", 0.001)
        hub.repos["org/model"] = Repo(dict(FILES))
        yield hub


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


@pytest.fixture
def start(store):
    """Start a server that allows what it is told to; a client of it."""
    started = []

    def serve(*named, aliases=(), **binding):
        registry = ModelRegistry(named, store, aliases)
        started.append(RunningServer(lambda: Pool(registry), store.running, **binding))
        return started[-1].client()

    yield serve
    for server in started:
        server.stop()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/pull"),
        ("DELETE", "/api/delete"),
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("POST", "/api/push"),
        ("POST", "/api/blobs/sha256:00"),
    ],
)
def test_without_leave_the_store_stays_as_it_is(client, method, path):
    response = client.request(method, path, json={"model": "org/model"})
    assert response.status_code == 403
    assert set(response.json()) == {"error"}


def test_a_pulled_model_can_be_asked_for_at_once(hub, start, store, lines):
    with start(allow_pull=True) as client:
        assert client.get("/api/tags").json() == {"models": []}
        steps = lines(client.post("/api/pull", json={"name": "org/model:latest"}))
        assert steps[0] == {"status": "pulling manifest"}
        assert steps[-1] == {"status": "success"}
        counted = [step for step in steps if "total" in step]
        assert counted[-1]["completed"] == counted[-1]["total"]
        assert counted[-1]["digest"].startswith("sha256:")
        (model,) = client.get("/api/tags").json()["models"]
        assert model["name"] == "org/model:latest"
        assert client.get("/v1/models/org/model").status_code == 200
        again = client.post("/api/pull", json={"model": "org/model", "stream": False})
        assert again.json() == {"status": "success"}
    assert [entry.name for entry in store.entries()] == ["org--model--main"]


def test_what_is_no_name_of_the_hub_is_not_looked_for(hub, start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "folder").mkdir(parents=True)
    (tmp_path / "org" / "folder" / "config.json").write_text("{}")
    with start(allow_pull=True) as client:
        for name in ("llama9", "/etc/passwd", "./org/folder", "http://evil.example/x", "~"):
            response = client.post("/api/pull", json={"model": name})
            assert response.status_code == 404
        assert not hub.requests
        response = client.post("/api/pull", json={"model": "org/folder", "stream": False})
        assert response.status_code == 404  # the hub's, and not the folder
        assert hub.requests


def test_a_download_that_fails_says_so_in_the_last_line(hub, start, lines):
    with start(allow_pull=True) as client:
        first, last = lines(client.post("/api/pull", json={"model": "org/nothing"}))
    assert first == {"status": "pulling manifest"}
    assert "org/nothing" in last["error"]


def test_a_download_ends_with_its_client_and_is_continued(hub, start, store, lines):
    repo = hub.repos["org/model"]
    repo.pauses["model.safetensors"] = 100_000
    with start(allow_pull=True) as client:
        with client.stream("POST", "/api/pull", json={"model": "org/model"}) as response:
            next(line for line in response.iter_lines() if '"completed":1' in line)
        for _ in range(50):  # by then the server knows that the client has left
            client.get("/health")
        hub.released.set()
        with locked(store.home / "checkpoints" / "org--model--main"):  # once the download has ended
            assert not store.entries()
        assert lines(client.post("/api/pull", json={"model": "org/model"}))[-1] == {
            "status": "success"
        }
    ranges = [one.headers.get("range") for one in hub.asked("model.safetensors")]
    assert ranges[0] is None
    assert ranges[-1] is not None


def test_a_model_is_deleted_with_all_that_was_made_of_it(hub, start, store):
    with start("smollm2-135m", allow_pull=True, allow_delete=True) as client:
        client.post("/api/pull", json={"model": "org/model", "stream": False})

        def delete(name):
            return client.request("DELETE", "/api/delete", json={"name": name})

        assert delete("none").status_code == 404
        named = delete("smollm2-135m")
        assert named.status_code == 403
        assert "started with" in named.json()["error"]
        response = delete("org/model:latest")
        assert (response.status_code, response.content) == (200, b"")
        assert delete("org/model").status_code == 404
    assert store.entries() == []


def test_another_name_of_a_model_does_not_delete_it(hub, start, store):
    with start(allow_pull=True) as client:
        client.post("/api/pull", json={"model": "org/model", "stream": False})
    with start(aliases=["llama3*=org/model"], allow_delete=True) as client:
        response = client.request("DELETE", "/api/delete", json={"model": "llama3.2"})
        assert response.status_code == 403
        assert "'org/model'" in response.json()["error"]
    assert store.entries()
