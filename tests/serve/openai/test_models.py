from __future__ import annotations

import shutil

import pytest
from running_server import RunningServer

from aipc.models.store import Store
from aipc.pool.model_registry import ModelRegistry
from aipc.pool.pool import Pool


def test_models_are_listed_with_how_they_are(client):
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["id"], model["object"]) == ("fake", "model")
    assert model["aipc"]["state"] == "ready"
    assert model["aipc"]["context"] == 4096
    assert model["aipc"]["can"] == ["json_schema", "logprobs"]
    assert client.get("/v1/models/fake").json() == model


def test_a_model_that_is_not_there(client):
    for path in ("/v1/models/none", "/v1/models/org/none", "/v1/models/%2e%2e/fake"):
        response = client.get(path)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"


def test_a_device_that_is_not_here_is_refused_before_anything_is_begun(client):
    for device in ("npu", "gpu.2"):
        body = {"model": "fake", "prompt": "x", "device": device}
        response = client.post("/v1/completions", json=body)
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "device_unavailable"
    models = client.get("/api/machine").json()["models"]
    assert [model["device"] for model in models] == ["auto"]


@pytest.fixture
def half_gone(tmp_path):
    """A server that was started with two folders, of which one has been deleted since."""
    for name in ("here", "gone"):
        folder = tmp_path / "folders" / name
        folder.mkdir(parents=True)
        (folder / "openvino_model.xml").write_text("<net/>")
        (folder / "config.json").write_text("{}")
    store = Store(tmp_path / "home")
    registry = ModelRegistry([str(tmp_path / "folders" / each) for each in ("here", "gone")], store)
    running = RunningServer(lambda: Pool(registry, device="cpu"), store.running)
    shutil.rmtree(tmp_path / "folders" / "gone")
    registry.read_again()
    with running.client() as client:
        yield client
    running.stop()


def test_a_model_whose_files_are_gone_is_shown_as_such_and_takes_no_other_along(
    half_gone, tmp_path
):
    here, gone = half_gone.get("/v1/models").json()["data"]
    assert (here["id"], here["aipc"]["state"], here["aipc"]["error"]) == ("here", "stopped", None)
    assert (gone["id"], gone["aipc"]["state"]) == ("gone", "failed")
    assert "gone" in gone["aipc"]["error"]
    anthropic = half_gone.get("/v1/models", headers={"anthropic-version": "2023-06-01"})
    assert [one["id"] for one in anthropic.json()["data"]] == ["here", "gone"]
    tags = half_gone.get("/api/tags").json()["models"]
    assert [one["name"] for one in tags] == ["here:latest", "gone:latest"]
    assert half_gone.post("/api/show", json={"model": "gone"}).status_code == 200
    for path in ("/health", "/health/ready", "/api/ps", "/api/machine", "/metrics"):
        assert half_gone.get(path).status_code == 200
    asked = half_gone.post("/v1/completions", json={"model": "gone", "prompt": "x"})
    assert asked.status_code == 404
    for answer in (asked, half_gone.get("/v1/models"), half_gone.get("/health/ready")):
        assert str(tmp_path) not in answer.text
