"""A real model that makes embeddings, from its checkpoint, against sentence-transformers."""

from __future__ import annotations

import minilm
import numpy as np
import pytest

import aipc
from aipc.convert.recipe import Recipe
from aipc.errors import PromptTooLong

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture(scope="module")
def checkpoint(small_store):
    return small_store.fetch(minilm.SOURCE)


def opened(checkpoint, small_store, recipe, **properties):
    return aipc.embedder(
        str(checkpoint), recipe=recipe, properties=properties, store=small_store, notify=ignored
    )


def ignored(_):
    pass


@pytest.mark.parametrize(
    ("weight_format", "properties", "least"),
    [("fp16", EXACT, 0.99999), ("fp16", {}, 0.9999), ("int8", {}, 0.99)],
)
def test_vectors_are_sentence_transformers(
    checkpoint, small_store, weight_format, properties, least
):
    with opened(checkpoint, small_store, Recipe(weight_format), **properties) as model:
        found = model.embed(minilm.texts(), truncate=True)
        assert (model.context, model.width) == (256, 384)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    cosines = (found * minilm.vectors()).sum(axis=1)
    assert cosines.min() >= least


def test_it_takes_int8_by_itself_and_says_what_was_cut(checkpoint, small_store):
    notices = []
    with aipc.embedder(str(checkpoint), store=small_store, notify=notices.append) as model:
        assert "-int8-" in model.facts["artifact"]
        notices.clear()
        texts = minilm.texts()
        long = [text for text, count in zip(texts, model.count(texts), strict=True) if count > 256]
        assert long
        with pytest.raises(PromptTooLong, match="the model takes 256; shorten it, or have it cut"):
            model.embed(long)
        model.embed([*long, "short"], truncate=True)
        assert notices == [f"{len(long)} texts cut to the model's 256 tokens"]


def test_what_means_the_same_is_near(checkpoint, small_store):
    texts = ["A man is eating food.", "A man eats something.", "The bank raises interest rates."]
    with opened(checkpoint, small_store, None) as model:
        one, like, other = model.embed(texts)
    assert one @ like > 0.6
    assert one @ other < 0.3


def test_genais_pipeline_opens_the_same_folder_and_agrees(checkpoint, small_store):
    import openvino_genai

    texts = minilm.texts()[:20]
    with opened(checkpoint, small_store, Recipe("fp16"), **EXACT) as model:
        folder, found = model.facts["artifact"], model.embed(texts)
    kinds = openvino_genai.TextEmbeddingPipeline.PoolingType
    pipeline = openvino_genai.TextEmbeddingPipeline(
        folder, "CPU", pooling_type=kinds.MEAN, normalize=True, max_length=256, **EXACT
    )
    theirs = np.array(pipeline.embed_documents(texts))
    assert (theirs * found).sum(axis=1).min() > 0.9999
