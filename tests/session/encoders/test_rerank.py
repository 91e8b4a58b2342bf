"""Scores of a query and documents, from a tiny cross-encoder that is converted on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_encoder import LONGEST, pairs, write_judge, write_reader

import aipc
from aipc.convert.recipe import Recipe
from aipc.errors import ArtifactError, PromptTooLong, UnsupportedModel
from aipc.models.store import Store

REFERENCE = np.load(Path(__file__).parent / "scores.npz")
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
DOCUMENTS = ["a b c", "x", "the letters of this one are many", "x y z"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_reader(tmp_path_factory.mktemp("models") / "ranker", "bert-score")


@pytest.fixture(scope="module")
def model(folder, store):
    with aipc.reranker(str(folder), properties=EXACT, store=store) as model:
        yield model


def test_a_score_does_not_depend_on_the_other_documents(model):
    together = model.score("q r", DOCUMENTS)
    alone = np.concatenate([model.score("q r", [each]) for each in DOCUMENTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert together.dtype == np.float32
    assert ((together >= 0) & (together <= 1)).all()
    assert np.ptp(together) > 0.01


def test_a_pair_is_no_pair_the_other_way_round(model):
    (one,), (other,) = model.score("a b", ["c"]), model.score("c", ["a b"])
    assert abs(one - other) > 1e-3


def test_ranks_are_by_falling_score(model):
    scores = model.score("q r", DOCUMENTS)
    ranks = model.rank("q r", DOCUMENTS)
    assert [one.index for one in ranks] == np.argsort(-scores).tolist()
    assert [one.index for one in model.rank("q r", DOCUMENTS, top_n=2)] == [
        one.index for one in ranks[:2]
    ]


def test_scores_are_the_same_through_onnx_runtime(folder, store):
    query, documents = pairs()
    loading = {"runtime": "onnx", "recipe": Recipe("fp16"), "store": store, "notify": str}
    with aipc.reranker(str(folder), **loading) as model:
        found = model.score(query, documents)
        assert model.facts["runtime"] == "onnx"
    np.testing.assert_allclose(found, REFERENCE["bert-score"], atol=1e-3)


def test_no_documents_have_no_scores(model):
    assert model.score("q", []).shape == (0,)


def test_a_document_that_is_too_long_is_cut_and_that_is_said(folder, store):
    notices = []
    with aipc.reranker(str(folder), store=store, notify=notices.append) as model:
        assert model.context == LONGEST
        notices.clear()
        scores = model.score("q r", ["x", "a " * 50])
        room = LONGEST - 2 - 3
        np.testing.assert_allclose(scores[1:], model.score("q r", ["a " * room]), atol=1e-5)
        assert notices == [
            f"1 document cut: with the query they have more than the model's {LONGEST} tokens"
        ]
        with pytest.raises(PromptTooLong, match=f"has 55 tokens, the model takes {LONGEST}"):
            model.score("q r", ["a " * 50], truncate=False)


def test_scores_as_they_are_where_the_model_says_so(tmp_path, model, store):
    identity = {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}
    folder = write_reader(tmp_path / "raw", "bert-score", **identity)
    with aipc.reranker(str(folder), properties=EXACT, store=store) as raw:
        logits = raw.score("q r", DOCUMENTS)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), model.score("q r", DOCUMENTS), atol=1e-5)


@pytest.mark.parametrize("name", REFERENCE.files)
def test_scores_and_order_are_sentence_transformers(name, tmp_path, store):
    query, documents = pairs()
    if name == "judge":
        folder, documents = write_judge(tmp_path / name), [each[:20] for each in documents]
    else:
        folder = write_reader(tmp_path / name, name)
    with aipc.reranker(
        str(folder), recipe=Recipe("fp16"), properties=EXACT, store=store, notify=lambda _: None
    ) as model:
        ranks = model.rank(query, documents)
    expected = REFERENCE[name]
    assert [one.index for one in ranks] == np.argsort(-expected, kind="stable").tolist()
    found = [one.score for one in sorted(ranks, key=lambda one: one.index)]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_document_in_a_template_is_cut_and_what_stands_behind_it_is_not(tmp_path, store):
    notices = []
    with aipc.reranker(
        str(write_judge(tmp_path / "judge")), properties=EXACT, store=store, notify=notices.append
    ) as model:
        notices.clear()
        around = len(["a", "s", "t", "b", "q", "q", "r", "d", "x", "y"])
        cut = model.score("q r", ["a " * 60])
        whole = model.score("q r", ["a " * (LONGEST - around)])
        np.testing.assert_allclose(cut, whole, atol=1e-5)
        assert len(notices) == 1
        with pytest.raises(PromptTooLong, match="the query alone takes"):
            model.score("q " * 60, ["a"])


def test_a_decoder_without_such_a_template_says_so(tmp_path, store):
    notices = []
    folder = write_reader(tmp_path / "qwen", "qwen3-score")
    with aipc.reranker(str(folder), store=store, notify=notices.append) as model:
        assert model.score("q", ["a"]).shape == (1,)
    assert "no places for a query and a document" in notices[-1]


def test_genais_pipeline_opens_the_same_folder_and_agrees(model):
    import openvino_genai

    folder = model.facts["artifact"]
    pipeline = openvino_genai.TextRerankPipeline(folder, "CPU", top_n=4, **EXACT)
    found = pipeline.rerank("q r", DOCUMENTS)
    ranks = model.rank("q r", DOCUMENTS)
    assert [index for index, _ in found] == [one.index for one in ranks]
    np.testing.assert_allclose(
        [score for _, score in found], [one.score for one in ranks], atol=1e-4
    )


def test_what_is_no_reranker_is_refused(folder, tmp_path, store):
    with pytest.raises(
        ArtifactError, match=r"scores texts, and embeddings are wanted; use `aipc r"
    ):
        aipc.embedder(str(folder), store=store)
    with pytest.raises(ArtifactError, match=r"scores texts and writes no text; use `aipc rerank`"):
        aipc.load(str(folder), store=store)
    embeds = write_reader(tmp_path / "e5", "bert", modules=["Pooling"])
    with pytest.raises(ArtifactError, match="makes embeddings, and scores are wanted"):
        aipc.reranker(str(embeds), store=store)
    named = {"id2label": {"0": "no", "1": "yes"}}
    classes = write_reader(tmp_path / "classes", "bert-score", **named)
    with pytest.raises(UnsupportedModel, match="sorts texts into 2 classes"):
        aipc.reranker(str(classes), store=store)
