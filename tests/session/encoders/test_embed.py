"""Real vectors of a tiny model, from a folder as optimum-intel makes it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_embedder import LONGEST, WIDTH, write_embedder
from tiny_encoder import CHAINS, EMBEDDERS, pairs, write_chain, write_reader

import aipc
from aipc.artifact.sentence_model import read_sentence_model, task_of
from aipc.convert.recipe import Recipe
from aipc.errors import ArtifactError, DeviceError, EngineError, PromptTooLong, UsageError
from aipc.models.store import Store

REFERENCE = np.load(Path(__file__).parent / "vectors.npz")
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
    folder = write_embedder(tmp_path / "min", "min_tokens")
    with pytest.raises(ArtifactError, match="asks for 'pooling_mode_min_tokens'; cls, max"):
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
    with pytest.raises(ArtifactError, match="writes text, and embeddings are wanted"):
        aipc.embedder(str(tmp_path))


def test_a_closed_one_says_so(folder):
    model = aipc.embedder(str(folder))
    model.close()
    with pytest.raises(EngineError, match="closed"):
        model.embed(["x"])


def test_no_session_opens_on_it(folder):
    assert task_of(folder) == "embeddings"
    with pytest.raises(ArtifactError, match="embeddings and writes no text; use `aipc embed`"):
        aipc.load(str(folder), device="cpu")


def test_the_shortest_limit_that_is_stated_holds(folder):
    limit = folder / "sentence_bert_config.json"
    limit.write_text(json.dumps({"max_seq_length": 8}))
    try:
        assert read_sentence_model(folder).longest == 8
    finally:
        limit.unlink()


@pytest.mark.parametrize("name", EMBEDDERS)
def test_vectors_are_sentence_transformers(name, tmp_path):
    pooling, modules = EMBEDDERS[name]
    folder = write_reader(tmp_path / name, name, pooling=pooling, modules=modules)
    _, documents = pairs()
    with aipc.embedder(
        str(folder), recipe=Recipe("fp16"), properties=EXACT, store=Store(tmp_path / "home")
    ) as model:
        found = model.embed(documents, truncate=True)
        assert model.facts["pooling"] == pooling
        assert model.facts["normalized"] == ("Normalize" in modules)
        theirs = genais_vectors(model, pooling, documents)
    np.testing.assert_allclose(found, REFERENCE[name], atol=1e-3)
    np.testing.assert_allclose(theirs, found, atol=1e-3)


@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert"])
def test_vectors_are_the_same_through_onnx_runtime(name, tmp_path):
    pooling, modules = EMBEDDERS[name]
    folder = write_reader(tmp_path / name, name, pooling=pooling, modules=modules)
    _, documents = pairs()
    store = Store(tmp_path / "home")
    loading = {"runtime": "onnx", "recipe": Recipe("fp16"), "store": store, "notify": str}
    with aipc.embedder(str(folder), **loading) as model:
        found = model.embed(documents, truncate=True)
        assert (model.facts["runtime"], model.facts["provider"]) == ("onnx", "CPU")
        artifact = model.facts["artifact"]
    np.testing.assert_allclose(found, REFERENCE[name], atol=1e-3)
    with pytest.raises(EngineError, match="closed"):
        model.embed(["x"])
    with aipc.embedder(artifact, notify=str) as again:
        np.testing.assert_allclose(again.embed(documents[:2], truncate=True), found[:2], atol=1e-5)
    with pytest.raises(ArtifactError, match="was made for the runtime onnx, not openvino"):
        aipc.embedder(artifact, runtime="openvino", notify=str)
    with pytest.raises(ArtifactError, match="makes embeddings and writes no text"):
        aipc.load(artifact)


def test_what_no_runtime_or_device_can_do_is_said(folder, tmp_path):
    checkpoint = write_reader(tmp_path / "bert", "bert", modules=["Pooling"])
    store = Store(tmp_path / "home")
    with pytest.raises(UsageError, match="the runtime onnx has no target 'gpu'"):
        aipc.embedder(str(checkpoint), device="gpu", runtime="onnx", store=store)
    with pytest.raises(DeviceError, match="on the NPU here; ask for cpu or gpu"):
        aipc.embedder(str(checkpoint), device="npu", store=store)
    with pytest.raises(UsageError, match="unknown device 'tpu'"):
        aipc.embedder(str(checkpoint), device="tpu", store=store)
    loading = {"runtime": "onnx", "properties": {"num_threads": "1"}}
    with pytest.raises(UsageError, match="CPU has no property num_threads"):
        aipc.embedder(str(checkpoint), store=store, notify=str, **loading)


@pytest.mark.parametrize("name", CHAINS)
def test_poolings_and_modules_in_any_order_are_sentence_transformers(name, tmp_path):
    folder = write_chain(tmp_path / name, name)
    _, documents = pairs()
    with aipc.embedder(
        str(folder), recipe=Recipe("fp16"), properties=EXACT, store=Store(tmp_path / "home")
    ) as model:
        found = model.embed(documents, truncate=True)
        assert model.width == found.shape[1]
        assert model.facts["normalized"] == (CHAINS[name][1][-1:] == ["Normalize"])
    np.testing.assert_allclose(found, REFERENCE[name], atol=1e-3)


def genais_vectors(model, pooling, texts):
    import openvino_genai

    kinds = openvino_genai.TextEmbeddingPipeline.PoolingType
    names = {"cls": kinds.CLS, "mean": kinds.MEAN, "lasttoken": kinds.LAST_TOKEN}
    pipeline = openvino_genai.TextEmbeddingPipeline(
        model.facts["artifact"],
        "CPU",
        pooling_type=names[pooling],
        normalize=model.facts["normalized"],
        max_length=model.context,
        **EXACT,
    )
    return np.array(pipeline.embed_documents(texts))
