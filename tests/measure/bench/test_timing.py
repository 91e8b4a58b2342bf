from __future__ import annotations

from itertools import pairwise

import pytest

from aipc.errors import MeasurementError
from aipc.measure.bench.timing import engine_answers, time_answers
from aipc.runtimes.fake import FakeEngine


def test_the_times_of_each_token_as_the_engine_gives_them():
    timed = time_answers(engine_answers(FakeEngine(delay=0.02)), [[1, 2, 3]], 5)
    [times] = timed.times
    assert len(times) == 5
    assert all(later - earlier >= 0.02 for earlier, later in pairwise(times))
    assert timed.seconds >= times[-1]


def test_no_token_ends_an_answer_early():
    engine = FakeEngine(script=[2, 2, 2])
    assert len(time_answers(engine_answers(engine), [[1]], 9).times[0]) == 9
    assert engine.requests[0].stop_ids == frozenset()
    assert engine.requests[0].decoding.temperature == 0


def test_a_batch_runs_at_once():
    timed = time_answers(engine_answers(FakeEngine(delay=0.05)), [[1], [2], [3]], 4)
    assert [len(times) for times in timed.times] == [4, 4, 4]
    assert timed.seconds < 3 * 4 * 0.05


def test_an_answer_that_ends_early_is_an_error():
    def short(_prompt, tokens):
        return iter([1] * (tokens - 1))

    with pytest.raises(MeasurementError, match="an answer of 4 tokens ended after 3"):
        time_answers(short, [[1]], 4)


def test_tokens_that_come_together_have_one_time():
    def clumped(_prompt, _tokens):
        yield 1
        yield 2

    [times] = time_answers(clumped, [[1]], 3).times
    assert times[0] < times[1] == times[2]
