from __future__ import annotations

import pytest

from aipc.errors import EngineError, PromptTooLong
from aipc.runtimes.base import Decoding, Engine
from aipc.runtimes.fake import FakeEngine
from aipc.runtimes.overflow import OverflowEngine

NOTHING: frozenset[int] = frozenset()


class Small(FakeEngine):
    """Takes prompts of up to three tokens."""

    def start(self, prompt, decoding, stop_ids):
        if len(prompt) > 3:
            raise PromptTooLong(f"the prompt has {len(prompt)} tokens, and 3 fit")
        return super().start(prompt, decoding, stop_ids)


@pytest.fixture
def told():
    return []


@pytest.fixture
def engine(told):
    opened = []

    def open_second():
        opened.append(FakeEngine(script=[2], device="GPU"))
        return opened[-1]

    engine = OverflowEngine(Small(script=[1], device="NPU"), open_second, told.append)
    engine.opened = opened
    return engine


def answer(engine, prompt):
    return list(engine.start(prompt, Decoding(2), NOTHING))


def test_what_fits_stays_and_opens_nothing(engine, told):
    typed: Engine = engine
    assert answer(typed, [1, 2, 3]) == [1, 1]
    assert (engine.opened, told) == ([], [])
    assert engine.facts["overflow"] == {"prompts": 0}


def test_what_does_not_fit_moves_and_the_user_is_told_each_time(engine, told):
    assert answer(engine, [1, 2, 3, 4]) == [2, 2]
    assert answer(engine, [1, 2, 3, 4]) == [2, 2]
    assert len(engine.opened) == 1
    assert told == ["the prompt has 4 tokens, and 3 fit: answering on GPU"] * 2
    assert engine.device == engine.facts["device"] == "NPU"
    assert engine.facts["overflow"]["prompts"] == 2
    assert engine.facts["overflow"]["device"] == "GPU"


def test_another_failure_does_not_move(engine, told):
    with pytest.raises(EngineError, match="no tokens"):
        answer(engine, [])
    assert told == []


def test_closing_closes_both(engine):
    answer(engine, [1, 2, 3, 4])
    engine.close()
    assert engine.opened[0].closed
    for prompt in ([1], [1, 2, 3, 4]):
        with pytest.raises(EngineError, match="closed"):
            answer(engine, prompt)
