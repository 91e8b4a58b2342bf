from __future__ import annotations

from types import MappingProxyType

import lora
import numpy as np
import pytest

from aipc.convert.recipe import Recipe
from aipc.errors import UsageError
from aipc.generate import Finished, GenerationRequest
from aipc.models.store import Store
from aipc.pool.worker.loading import EmbeddingSession, RerankSession, load_session
from aipc.pool.worker.messages import Embedded, Scored, event_from_data, event_to_data
from aipc.progress import silent, unheard
from aipc.session.convert import convert
from aipc.session.encoders.embed import Embeddings
from aipc.session.encoders.rerank import PairScores


class Lengths:
    """An embedder whose vectors are a text's length, twice; it takes 10 letters."""

    facts = MappingProxyType({"runtime": "fake", "device": "CPU"})
    context = 10

    def check_dimensions(self, dimensions):
        if dimensions not in {None, 2}:
            raise UsageError("the model's embeddings have 2 dimensions")

    def read(self, texts, *, prompt=None, dimensions=None, truncate=False):
        del prompt, dimensions, truncate
        tokens = [min(len(text), self.context) for text in texts]
        vectors = np.array([[count] * 2 for count in tokens], np.float32)
        return Embeddings(vectors, tokens, [max(len(text) - 10, 0) for text in texts])

    def close(self):
        pass


class Likes(Lengths):
    """A reranker that likes long documents."""

    def read(self, query, documents, *, truncate=True):
        made = super().read(documents, truncate=truncate)
        return PairScores(made.vectors[:, 0] + len(query), made.tokens, made.cut)


def test_many_texts_come_in_batches_and_then_the_end():
    said = list(EmbeddingSession(Lengths()).answer(GenerationRequest(texts=["ab"] * 40)))
    assert [len(one.vectors) for one in said[:-1]] == [32, 8]
    assert isinstance(said[-1], Finished)
    assert (said[-1].reason, said[-1].usage.prompt_tokens) == ("stop", 80)


def test_it_can_be_cancelled_between_two_batches():
    stream = EmbeddingSession(Lengths()).answer(GenerationRequest(texts=["ab"] * 128))
    assert isinstance(next(stream), Embedded)
    stream.cancel()
    (end,) = stream
    assert (end.reason, end.usage.prompt_tokens) == ("cancelled", 64)


def test_other_dimensions_are_refused_before_any_work():
    session = EmbeddingSession(Lengths())
    with pytest.raises(UsageError, match="have 2 dimensions"):
        session.answer(GenerationRequest(texts=["x"], dimensions=3))
    assert len(list(session.answer(GenerationRequest(texts=["x"], dimensions=2)))) == 2


def test_it_is_told_which_texts_were_cut_by_their_places_in_the_request():
    texts = ["ab"] * 33 + ["a" * 11]
    *said, _ = EmbeddingSession(Lengths()).answer(GenerationRequest(texts=texts, truncate=True))
    assert [one.cut for one in said] == [(), (33,)]


def test_a_model_for_one_task_refuses_the_other():
    with pytest.raises(UsageError, match="makes embeddings"):
        EmbeddingSession(Lengths()).answer(GenerationRequest(texts=["x"], query="y"))
    with pytest.raises(UsageError, match="scores documents"):
        RerankSession(Likes()).answer(GenerationRequest(texts=["x"]))
    with pytest.raises(UsageError, match="scores documents"):
        RerankSession(Likes()).answer(GenerationRequest(prompt="x"))


def test_scores_are_the_same_after_the_pipe():
    asked = GenerationRequest(texts=["abc", "a" * 12], query="x")
    (said, end) = RerankSession(Likes()).answer(asked)
    assert said == Scored((4.0, 11.0), (1,))
    assert event_from_data(event_to_data(said)) == said
    assert end.usage.prompt_tokens == 13


def test_vectors_are_the_same_after_the_pipe():
    (said, _) = EmbeddingSession(Lengths()).answer(GenerationRequest(texts=["abc"]))
    assert event_from_data(event_to_data(said)) == said


def test_an_adapter_beside_an_artifact_and_one_to_merge(tmp_path):
    base, own = lora.write_base(tmp_path / "base", "all"), lora.write_case(tmp_path / "own", "all")
    arguments = {"device": "cpu", "runtime": "openvino", "home": str(tmp_path / "home")}
    store = Store(tmp_path / "home")
    made = convert(str(base), Recipe(weight_format="fp16"), store=store, notify=unheard)
    for model in (made.path, base):
        given = {**arguments, "model": f"{model} + {own}", "exact": True}
        if model is base:
            given["recipe"] = {"weight_format": "fp16"}
        session = load_session(given, silent, unheard)
        answers = session.generate(
            "a", max_new_tokens=8, temperature=0.0, ignore_eos=True, raw=True
        )
        assert answers.usage.completion_tokens == 8
        session.close()
