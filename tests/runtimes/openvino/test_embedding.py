"""Real vectors of OpenVINO GenAI's pipeline, from a tiny model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny_embedder import LONGEST, WIDTH, write_embedder

import aipc
from aipc.artifact.sentence_model import makes_embeddings, read_sentence_model
from aipc.errors import ArtifactError, DeviceError, EngineError, PromptTooLong, UsageError
from aipc.session.embed import is_embedder

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
TEXTS = ["hello", "a far longer text of many words", "b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_embedder(tmp_path_factory.mktemp("models") / "tiny-e5", "mean_tokens")


@pytest.fixture(scope="module")
def model(folder):
    model = aipc.embedder(str(folder), device="cpu", properties=EXACT)
    yield model
    model.close()


def test_vectors_have_the_models_width_and_the_length_one(model):
    vectors = model.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), WIDTH) == (len(TEXTS), model.width)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_its_neighbors(model):
    together = model.embed(TEXTS)
    alone = np.concatenate([model.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 0.01


def test_the_vector_is_the_graphs_mean(model, folder):
    states = hidden_states(folder, "hello")
    mean = states.mean(axis=0)
    np.testing.assert_allclose(model.embed(["hello"])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_the_first_token_without_normalizing_where_the_model_says_so(tmp_path):
    folder = write_embedder(tmp_path / "cls", "cls_token", modules=("Transformer", "Pooling"))
    states = hidden_states(folder, "hello")
    model = aipc.embedder(str(folder), properties=EXACT)
    np.testing.assert_allclose(model.embed(["hello"])[0], states[0], rtol=1e-4)
    assert model.facts["pooling"] == "cls"
    assert not model.facts["normalized"]


def hidden_states(folder, text):
    import openvino
    import openvino_genai

    ids = openvino_genai.Tokenizer(folder).encode(text).input_ids.data
    graph = openvino.Core().compile_model(folder / "openvino_model.xml", "CPU", EXACT)
    return graph([ids, np.ones_like(ids)])[0][0]


def test_tokens_are_counted_with_the_ends(model):
    assert model.count(["abc", "a b"]) == [5, 4]


def test_a_text_too_long_is_refused_and_not_cut(model):
    assert model.context == LONGEST
    model.embed(["a " * (LONGEST - 2)])
    with pytest.raises(PromptTooLong, match=f"has {LONGEST + 1} tokens, the model takes {LONGEST}"):
        model.embed(["short", "a " * (LONGEST - 1)])


def test_without_a_pooling_stated_it_is_the_mean_and_said(tmp_path):
    notices = []
    folder = write_embedder(tmp_path / "bare")
    model = aipc.embedder(str(folder), notify=notices.append)
    assert model.facts["pooling"] == "mean"
    assert notices == ["'bare' has no 1_Pooling/config.json: the mean of a text's tokens is taken"]


def test_an_unknown_pooling_is_refused(tmp_path):
    folder = write_embedder(tmp_path / "max", "max_tokens")
    with pytest.raises(ArtifactError, match="asks for max_tokens; one of cls_token"):
        aipc.embedder(str(folder))


def test_what_the_model_wants_before_each_text(tmp_path, model):
    folder = write_embedder(tmp_path / "prefixed", "mean_tokens")
    prompts = {"prompts": {"passage": "p a "}, "default_prompt_name": "passage"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    prefixed = aipc.embedder(str(folder), properties=EXACT)
    assert prefixed.count(["b"]) == [5]
    np.testing.assert_allclose(prefixed.embed(["b"]), model.embed(["p a b"]), atol=1e-5)


def test_no_such_device_property_or_model(folder, tmp_path):
    with pytest.raises(DeviceError):
        aipc.embedder(str(folder), device="gpu.7")
    with pytest.raises(UsageError, match="no property NUM_STREAM"):
        aipc.embedder(str(folder), device="cpu", properties={"NUM_STREAM": "1"})
    (tmp_path / "openvino_model.xml").write_text('<layer names="logits"/>')
    with pytest.raises(ArtifactError, match="no folder of an OpenVINO model that makes embeddings"):
        aipc.embedder(str(tmp_path))


def test_a_closed_one_says_so(folder):
    model = aipc.embedder(str(folder))
    model.close()
    with pytest.raises(EngineError, match="closed"):
        model.embed(["x"])


def test_no_session_opens_on_it(folder):
    assert is_embedder(str(folder))
    assert makes_embeddings(folder)
    with pytest.raises(ArtifactError, match=r"makes embeddings and writes no text; use aipc\.emb"):
        aipc.load(str(folder), device="cpu")


def test_the_shortest_limit_that_is_stated_holds(folder):
    limit = folder / "sentence_bert_config.json"
    limit.write_text(json.dumps({"max_seq_length": 8}))
    try:
        assert read_sentence_model(folder).longest == 8
    finally:
        limit.unlink()
