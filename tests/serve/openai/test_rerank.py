"""/v1/rerank and /v1/embeddings of tiny checkpoints that the worker converts when it loads them."""

from __future__ import annotations

import numpy as np
import pytest
from running_server import RunningServer
from tiny_encoder import LONGEST, write_reader

import aipc
from aipc.models.store import Store
from aipc.pool.model_registry import ModelRegistry
from aipc.pool.pool import Pool

DOCUMENTS = ["a b c", "x", {"text": "the letters of this one are many"}, "x y z"]
PROMPTS = '{"prompts": {"query": "q r s ", "document": ""}}'


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("models")
    embeds = write_reader(
        home / "tiny-e5", "bert", modules=["Pooling", "Normalize"], matryoshka_dimensions=[8]
    )
    (embeds / "config_sentence_transformers.json").write_text(PROMPTS)
    return write_reader(home / "ranker", "bert-score"), embeds


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def client(folders, store):
    named = tuple(map(str, folders))
    running = RunningServer(lambda: Pool(ModelRegistry(named, store)), store.running)
    with running.client() as client:
        yield client
    running.stop()


def test_documents_are_ranked_as_python_ranks_them(client, folders, store):
    body = {"model": "ranker", "query": "q r", "documents": DOCUMENTS, "top_n": 3}
    answer = client.post("/v1/rerank", json=body).json()
    texts = [each if isinstance(each, str) else each["text"] for each in DOCUMENTS]
    with aipc.reranker(str(folders[0]), store=store) as model:
        ranks = model.rank("q r", texts, top_n=3)
    assert [one["index"] for one in answer["results"]] == [one.index for one in ranks]
    found = [one["relevance_score"] for one in answer["results"]]
    np.testing.assert_allclose(found, [one.score for one in ranks], atol=1e-4)
    assert [one["document"]["text"] for one in answer["results"]] == [
        texts[one.index] for one in ranks
    ]
    assert answer["usage"]["total_tokens"] > 20


def test_a_document_that_is_too_long_is_cut_and_named(client):
    body = {"model": "ranker", "query": "q", "documents": ["x", "a " * 50]}
    response = client.post("/v1/rerank", json=body)
    assert response.headers["x-aipc-ignored"] == "end of documents[1]"
    refused = client.post("/v1/rerank", json={**body, "truncate": False})
    assert refused.status_code == 400
    assert f"the model takes {LONGEST}" in refused.json()["error"]["message"]


def test_the_models_say_what_they_can(client):
    listed = {one["id"]: one["aipc"]["can"] for one in client.get("/v1/models").json()["data"]}
    assert listed == {"ranker": ["scores"], "tiny-e5": ["embeddings"]}
    wrong = client.post("/v1/rerank", json={"model": "tiny-e5", "query": "q", "documents": ["x"]})
    assert wrong.status_code == 400
    assert "makes embeddings and no scores; ask /v1/embeddings" in wrong.json()["error"]["message"]
    wrong = client.post("/v1/embeddings", json={"model": "ranker", "input": "x"})
    assert "makes scores and no embeddings; ask /v1/rerank" in wrong.json()["error"]["message"]
    wrong = client.post("/v1/completions", json={"model": "ranker", "prompt": "x"})
    assert "makes scores and writes no text; ask /v1/rerank" in wrong.json()["error"]["message"]


def embedded(client, **more):
    response = client.post("/v1/embeddings", json={"model": "tiny-e5", "input": "a b", **more})
    assert response.status_code == 200, response.text
    return np.array(response.json()["data"][0]["embedding"])


def test_a_query_gets_the_models_prompt_before_it(client):
    plain, query = embedded(client), embedded(client, input_type="search_query")
    assert np.abs(plain - query).max() > 0.01
    np.testing.assert_allclose(query, embedded(client, input="q r s a b"), atol=1e-5)
    np.testing.assert_allclose(plain, embedded(client, input_type="document"), atol=1e-5)
    body = {"model": "tiny-e5", "input": "a", "input_type": "clustering"}
    refused = client.post("/v1/embeddings", json=body)
    assert refused.status_code == 400
    assert "has no prompt 'clustering'; it has: query, document" in refused.text


def test_vectors_are_shortened_where_the_model_says_so(client):
    whole, short = embedded(client), embedded(client, dimensions=8)
    np.testing.assert_allclose(short, whole[:8] / np.linalg.norm(whole[:8]), atol=1e-5)
    body = {"model": "tiny-e5", "input": "a", "dimensions": 7}
    refused = client.post("/v1/embeddings", json=body)
    assert "32 dimensions, not 7; leave dimensions out, or give 8" in refused.text


def test_a_text_that_is_too_long_is_cut_where_that_is_asked_for(client):
    body = {"model": "tiny-e5", "input": ["x", "a " * 50], "truncate": True}
    response = client.post("/v1/embeddings", json=body)
    assert response.headers["x-aipc-ignored"] == "end of input[1]"
    assert client.post("/v1/embeddings", json={**body, "truncate": "NONE"}).status_code == 400
