"""/api/embed and /api/embeddings against a tiny real model."""

from __future__ import annotations

import numpy as np
import pytest
from running_server import RunningServer
from tiny_embedder import WIDTH, write_embedder

import aipc
from aipc.models.store import Store
from aipc.pool.model_registry import ModelRegistry
from aipc.pool.pool import Pool

TEXTS = ["hello", "a text of many words"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_embedder(tmp_path_factory.mktemp("models") / "tiny-e5", "mean_tokens")


@pytest.fixture(scope="module")
def embedding_client(folder, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("home"))
    running = RunningServer(lambda: Pool(ModelRegistry((str(folder),), store)), store.running)
    with running.client() as client:
        yield client
    running.stop()


def test_texts_get_the_models_own_vectors(embedding_client, folder):
    body = {"model": "tiny-e5:latest", "input": TEXTS, "truncate": True, "dimensions": WIDTH}
    reply = embedding_client.post("/api/embed", json=body).json()
    model = aipc.embedder(str(folder))
    np.testing.assert_allclose(reply["embeddings"], model.embed(TEXTS), atol=1e-6)
    assert reply["prompt_eval_count"] == sum(model.count(TEXTS))
    assert reply["total_duration"] >= reply["load_duration"] >= 0
    model.close()
    one = embedding_client.post("/api/embed", json={**body, "input": TEXTS[0]}).json()
    older = {"model": "tiny-e5", "prompt": TEXTS[0]}
    (first,) = one["embeddings"]
    assert embedding_client.post("/api/embeddings", json=older).json() == {"embedding": first}


def test_without_a_text_the_model_is_loaded(embedding_client):
    for empty in ("", [], None):
        reply = embedding_client.post("/api/embed", json={"model": "tiny-e5", "input": empty})
        assert reply.json() == {"model": "tiny-e5", "embeddings": []}
    reply = embedding_client.post("/api/embeddings", json={"model": "tiny-e5", "prompt": ""})
    assert reply.json() == {"embedding": []}


def test_what_can_not_be_had_is_refused(embedding_client):
    for body in (
        {"input": "hello", "dimensions": WIDTH + 1},
        {"input": "word " * 100, "truncate": False},
        {"input": [1, 2]},
    ):
        response = embedding_client.post("/api/embed", json={"model": "tiny-e5", **body})
        assert response.status_code == 400
        assert set(response.json()) == {"error"}
    response = embedding_client.post("/api/generate", json={"model": "tiny-e5", "prompt": "x"})
    assert response.status_code == 400


def test_a_text_too_long_is_cut_and_named(embedding_client):
    body = {"model": "tiny-e5", "input": ["short", "word " * 100]}
    response = embedding_client.post("/api/embed", json=body)
    assert response.status_code == 200
    assert response.headers["x-aipc-ignored"] == "end of input[1]"
    older = {"model": "tiny-e5", "prompt": "word " * 100}
    response = embedding_client.post("/api/embeddings", json=older)
    assert response.headers["x-aipc-ignored"] == "end of prompt"


def test_it_is_said_which_models_make_embeddings(embedding_client):
    (model,) = embedding_client.get("/api/tags").json()["models"]
    assert model["capabilities"] == ["embedding"]
    assert model["details"]["family"] == "bert"
