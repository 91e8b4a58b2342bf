"""A session that has answered before anybody asked, and shows nothing of it."""

from __future__ import annotations

import dataclasses

import pytest

from aipc.models.store import Store
from aipc.runtimes.fake import FakeEngine
from aipc.session.place import SessionOptions
from aipc.session.prepare import prepare_session
from aipc.session.session import WARM_TOKENS, _warm_up, open_session
from aipc.session_status import read_statuses
from aipc.timing_spans import recorded

BLOCK = 16
"""Tokens that OpenVINO GenAI's prefix cache keeps together on a GPU; 32 on a CPU."""
QUESTION = "What is the capital of France?"


@pytest.fixture
def prepared(smollm_gguf, small_store):
    return prepare_session(str(smollm_gguf), SessionOptions(), store=small_store)


def test_a_warm_session_answers_as_a_cold_one_and_counts_nothing(prepared, tmp_path):
    answers = []
    prepared = dataclasses.replace(prepared, store=Store(tmp_path))
    for warm in (False, True):
        with recorded() as stages, open_session(prepared, warm=warm) as session:
            (running,) = read_statuses(prepared.store.running)
            assert (running.answers, running.tokens) == (0, 0)
            reply = session.generate(QUESTION, max_new_tokens=8, temperature=0.0)
            assert reply.usage.completion_tokens == 8
            answers.append(reply.text)
        assert ("warm up" in [one.name for one in stages]) == warm
    assert answers[0] == answers[1]


def test_the_warm_up_is_shorter_than_a_block_of_the_cache():
    assert WARM_TOKENS + 2 < BLOCK

    class Text:
        class tokenizer:  # noqa: N801
            @staticmethod
            def encode(text, *, add_special_tokens):
                return list(text.encode())

    engine = FakeEngine()
    _warm_up(engine, Text)
    (request,) = engine.requests
    assert len(request.prompt) == WARM_TOKENS
    assert request.decoding.max_new_tokens == 2
