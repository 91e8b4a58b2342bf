"""/v1/embeddings: OpenAI's own client against a tiny real model, and what is refused."""

from __future__ import annotations

import base64

import numpy as np
import openai
import pytest
from running_server import RunningServer
from tiny_embedder import WIDTH, write_embedder

import aipc
from aipc.models.store import Store
from aipc.pool.model_registry import ModelRegistry
from aipc.pool.pool import Pool

TEXTS = [
    "hello",
    "a far longer text of many words",
    *(f"text {letter}" for letter in "abcdefghij" * 2),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_embedder(tmp_path_factory.mktemp("models") / "tiny-e5", "mean_tokens")


@pytest.fixture(scope="module")
def embedding_server(folder, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("home"))
    running = RunningServer(lambda: Pool(ModelRegistry((str(folder),), store)), store.running)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def openai_client(embedding_server):
    url = f"{embedding_server.url}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def test_openais_client_gets_the_models_own_vectors(openai_client, folder):
    made = openai_client.embeddings.create(model="tiny-e5", input=TEXTS)
    assert [each.index for each in made.data] == list(range(len(TEXTS)))
    model = aipc.embedder(str(folder))
    assert made.usage.prompt_tokens == made.usage.total_tokens == sum(model.count(TEXTS))
    got = np.array([each.embedding for each in made.data], np.float32)
    np.testing.assert_allclose(got[:16], model.embed(TEXTS[:16]), atol=1e-6)
    np.testing.assert_allclose(got[16:], model.embed(TEXTS[16:]), atol=1e-6)
    model.close()


def test_numbers_and_base64_are_the_same_vector(embedding_server):
    with embedding_server.client() as client:

        def embed(**more):
            body = {"model": "tiny-e5", "input": "hello", **more}
            return client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]

        numbers, text = embed(dimensions=WIDTH), embed(encoding_format="base64")
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(text), "<f4"), numbers)
    assert len(numbers) == WIDTH


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": [1, 2, 3]}, "input: token ids are not taken; give texts"),
        ({"input": [[1], [2]]}, "input: token ids are not taken; give texts"),
        ({"input": []}, "input: "),
        ({"input": ""}, "input: "),
        ({"input": "x", "dimensions": 5}, f"have {WIDTH} dimensions, not 5; leave dimensions out"),
        ({"input": "a " * 40}, "a text has 42 tokens, the model takes 32"),
    ],
)
def test_what_can_not_be_meant_is_refused(openai_client, fields, message):
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.embeddings.create(model="tiny-e5", **fields)
    assert message in caught.value.message


def test_no_text_from_a_model_that_makes_embeddings(openai_client):
    card = openai_client.models.retrieve("tiny-e5")
    assert card.aipc["can"] == ["embeddings"]
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.completions.create(model="tiny-e5", prompt="x")
    assert caught.value.code == "model_not_supported"
    assert "makes embeddings and writes no text; ask /v1/embeddings" in caught.value.message


def test_no_embeddings_from_a_model_that_writes_text(client):
    refused = {
        "fake": (400, "model_not_supported", "'fake' writes text and makes no embeddings"),
        "none": (404, "model_not_found", "there is no model 'none'"),
    }
    for model, (status, code, message) in refused.items():
        response = client.post("/v1/embeddings", json={"model": model, "input": "x"})
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (status, code, "model")
        assert error["message"].startswith(message)
