from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest

from aipc.errors import UsageError
from aipc.generate import Finished, GenerationRequest
from aipc.pool.worker.loading import EmbeddingSession
from aipc.pool.worker.messages import Embedded, event_from_data, event_to_data


class Lengths:
    """An embedder whose vectors are a text's length, twice."""

    facts = MappingProxyType({"runtime": "fake", "device": "CPU"})
    width = 2
    context = None

    def count(self, texts):
        return [len(text) for text in texts]

    def embed(self, texts):
        return np.array([[len(text)] * 2 for text in texts], np.float32)


def test_many_texts_come_in_batches_and_then_the_end():
    said = list(EmbeddingSession(Lengths()).answer(GenerationRequest(texts=["ab"] * 20)))
    assert [len(one.vectors) for one in said[:-1]] == [16, 4]
    assert isinstance(said[-1], Finished)
    assert (said[-1].reason, said[-1].usage.prompt_tokens) == ("stop", 40)


def test_it_can_be_cancelled_between_two_batches():
    stream = EmbeddingSession(Lengths()).answer(GenerationRequest(texts=["ab"] * 64))
    assert isinstance(next(stream), Embedded)
    stream.cancel()
    (end,) = stream
    assert (end.reason, end.usage.prompt_tokens) == ("cancelled", 32)


def test_other_dimensions_are_refused_before_any_work():
    session = EmbeddingSession(Lengths())
    with pytest.raises(UsageError, match="have 2 dimensions, not 3"):
        session.answer(GenerationRequest(texts=["x"], dimensions=3))
    assert len(list(session.answer(GenerationRequest(texts=["x"], dimensions=2)))) == 2


def test_vectors_are_the_same_after_the_pipe():
    (said, _) = EmbeddingSession(Lengths()).answer(GenerationRequest(texts=["abc"]))
    assert event_from_data(event_to_data(said)) == said
