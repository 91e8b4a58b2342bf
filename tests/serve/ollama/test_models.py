from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone

import pytest
from running_server import RunningServer

from aipc.artifact import manifest
from aipc.models.catalogue import CATALOGUE
from aipc.models.source import ArtifactSource, describe
from aipc.models.store import Store
from aipc.pool.model_registry import ModelCard, ModelRegistry
from aipc.pool.pool import Pool
from aipc.serve.ollama.model_files import ModelFiles

PHI = CATALOGUE["phi-3-mini"]
CONFIG = {
    "model_type": "phi3",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "max_position_embeddings": 4096,
}


def write(folder, kind, facts, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    manifest.write(folder, kind, folder.name, facts)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A server whose store has a model, an artifact made of it, and another one's checkpoint."""
    store = Store(tmp_path_factory.mktemp("home"))
    about = {"source": describe(PHI.source)}
    write(store.home / "checkpoints" / PHI.source.name, "checkpoint", about, {"config.json": {}})
    made = {**about, "parameters": 3_821_079_552, "recipe": {"weight_format": "int4"}}
    files = {
        "config.json": CONFIG,
        "generation_config.json": {"top_p": 0.9, "do_sample": True},
        "openvino_model.xml": "<net/>",
        "chat_template.jinja": "{{ messages }}{# </think> #}",
    }
    write(store.artifact_path(f"{PHI.source.name}-openvino-int4"), "artifact", made, files)
    other = {"source": {"kind": "hub", "repo": "org/other", "revision": "main"}}
    files = {"config.json": {"model_type": "llama"}}
    write(store.home / "checkpoints" / "org--other--main", "checkpoint", other, files)
    running = RunningServer(lambda: Pool(ModelRegistry((), store)), store.running)
    with running.client() as client:
        yield client
    running.stop()


def test_models_are_listed_by_names_that_can_be_asked_for(stored):
    phi, other = stored.get("/api/tags").json()["models"]
    assert (phi["name"], phi["model"]) == ("phi-3-mini:latest", "phi-3-mini:latest")
    assert phi["details"] == {
        "parent_model": "",
        "format": "openvino",
        "family": "phi3",
        "families": ["phi3"],
        "parameter_size": "3.8B",
        "quantization_level": "int4",
        "context_length": 4096,
        "embedding_length": 64,
    }
    assert phi["capabilities"] == ["completion", "tools", "thinking"]
    assert other["capabilities"] == ["completion", "tools"]
    assert len(bytes.fromhex(phi["digest"])) == 32
    assert phi["digest"] != other["digest"]
    modified = datetime.fromisoformat(phi["modified_at"].replace("Z", "+00:00"))
    assert timedelta() <= datetime.now(timezone.utc) - modified < timedelta(minutes=10)
    assert other["name"] == "org/other:latest"
    assert other["details"]["format"] == "safetensors"
    for model in (phi, other):
        assert stored.post("/api/show", json={"model": model["name"]}).status_code == 200


@pytest.mark.parametrize("spelling", ["model", "name"])
def test_a_model_is_shown_with_what_its_files_tell(stored, spelling):
    shown = stored.post("/api/show", json={spelling: "phi-3-mini", "verbose": True}).json()
    assert shown["license"] == "MIT"
    assert shown["template"] == "{{ messages }}{# </think> #}"
    assert shown["parameters"].split() == ["top_p", "0.9"]
    assert shown["model_info"] == {
        "general.architecture": "phi3",
        "general.basename": "phi-3-mini",
        "general.parameter_count": 3_821_079_552,
        "phi3.context_length": 4096,
        "phi3.embedding_length": 64,
        "phi3.block_count": 2,
    }


def test_what_a_model_can_be_asked_for_is_told_by_its_files(tmp_path):
    card = ModelCard("x", "x", ArtifactSource(tmp_path), "", 0, 0)
    files = ModelFiles(card, tmp_path, tmp_path)
    assert files.capabilities == ["completion", "tools"]
    (tmp_path / "chat_template.jinja").write_text("{{ '<think></think>' }}")
    assert files.capabilities == ["completion", "tools", "thinking"]
    marks = [f"<|fim_{part}|>" for part in ("prefix", "suffix", "middle")]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": marks}))
    assert files.capabilities == ["completion", "tools", "thinking", "insert"]


def test_what_is_not_there_is_not_shown(stored):
    for name in ("none", "phi-3-mini:7b", "../phi-3-mini", "/etc"):
        response = stored.post("/api/show", json={"model": name})
        assert response.status_code == 404
        assert set(response.json()) == {"error"}
    assert stored.post("/api/show", json={}).json() == {
        "error": "the body: name the model, as 'model'"
    }


def test_the_version_is_one_of_ollamas_in_plain_numbers(stored):
    version = stored.get("/api/version").json()["version"]
    assert tuple(map(int, version.split("."))) >= (0, 6, 4)


def test_a_probe_of_the_root_is_answered(stored):
    for method in ("HEAD", "GET"):
        assert stored.request(method, "/").status_code == 200


def ask(client, **more):
    body = {"model": "fake", "prompt": "x", "stream": False, **more}
    assert client.post("/api/generate", json=body).status_code == 200


def test_a_model_stays_loaded_as_long_as_the_newest_request_says(serve_fakes):
    with serve_fakes().client() as client:

        def until():
            (running,) = client.get("/api/ps").json()["models"]
            moment = datetime.fromisoformat(running["expires_at"].replace("Z", "+00:00"))
            return moment - datetime.now(timezone.utc)

        ask(client)
        assert until() > timedelta(days=10_000)
        ask(client, keep_alive="10m")
        assert timedelta(minutes=9) < until() <= timedelta(minutes=10)
        ask(client)
        assert until() <= timedelta(minutes=10)
        ask(client, keep_alive=-1)
        assert until() > timedelta(days=10_000)
        (running,) = client.get("/api/ps").json()["models"]
        assert (running["name"], running["context_length"], running["size_vram"]) == (
            "fake:latest",
            4096,
            0,
        )
        assert running["size"] > 0


def test_a_model_that_is_not_to_stay_goes_after_the_answer(serve_fakes):
    with serve_fakes(options={"idle_s": 3600.0}).client() as client:
        ask(client, keep_alive=0)
        for _ in range(500):
            if not client.get("/api/ps").json()["models"]:
                break
            time.sleep(0.01)
        assert client.get("/api/ps").json() == {"models": []}
        ask(client)  # by the server's own number again
        assert client.get("/api/ps").json()["models"]
