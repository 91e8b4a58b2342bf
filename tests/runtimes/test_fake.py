from __future__ import annotations

import math
import threading
import time

import pytest

from aipc.errors import ArtifactError, DeviceError, EngineError, UsageError
from aipc.runtimes.base import Constraint, Decoding, Engine, Generation, Runtime
from aipc.runtimes.fake import FakeEngine, FakeRequest, FakeRuntime

STOP = frozenset({9})


def test_fake_keeps_the_protocol(tmp_path):
    runtime: Runtime = FakeRuntime(script=[3])
    engine: Engine = runtime.open(tmp_path, "cpu", {})
    generation: Generation = engine.start([1], Decoding(5), STOP)
    assert list(generation) == [3, 9]
    assert engine.device == "CPU"
    assert engine.facts["device"] == "CPU"


def test_script_is_told_and_ended_with_a_stop_id():
    assert list(FakeEngine([5, 6]).start([1], Decoding(10), STOP)) == [5, 6, 9]


def test_script_without_a_stop_id_repeats_up_to_the_limit():
    assert list(FakeEngine([5, 6]).start([1], Decoding(5), frozenset())) == [5, 6, 5, 6, 5]


def test_stop_id_in_the_script_is_the_last_token():
    generation = FakeEngine([5, 9, 6]).start([1], Decoding(10), STOP)
    assert list(generation) == [5, 9]
    assert generation.ended


def test_greedy_tokens_follow_from_the_prompt_alone():
    def answer(prompt, seed):
        return list(FakeEngine().start(prompt, Decoding(20, seed=seed), frozenset()))

    assert answer([1, 2], 3) == answer([1, 2], 4)
    assert answer([1, 2], 3) != answer([1, 3], 3)


def test_sampled_tokens_follow_from_the_seed():
    def answer(seed):
        decoding = Decoding(20, temperature=1.0, seed=seed)
        return list(FakeEngine().start([1, 2], decoding, frozenset()))

    assert answer(3) == answer(3)
    assert answer(3) != answer(4)


def test_cancel_from_another_thread_wakes_a_waiting_generation():
    generation = FakeEngine([5], delay=60).start([1], Decoding(5), STOP)
    threading.Timer(0.05, generation.cancel).start()
    start = time.monotonic()
    assert list(generation) == []
    assert time.monotonic() - start < 10
    generation.cancel()


def test_cancel_ends_the_iteration_for_ever():
    generation = FakeEngine([5, 6]).start([1], Decoding(5), STOP)
    assert next(generation) == 5
    generation.cancel()
    assert list(generation) == []


def test_requests_are_recorded():
    engine = FakeEngine([5])
    engine.start([1, 2], Decoding(3), STOP)
    assert engine.requests == [FakeRequest((1, 2), Decoding(3), STOP)]


def test_failure_is_an_engine_error_and_the_end():
    generation = FakeEngine([5, 6, 7], fails_after=2).start([1], Decoding(5), STOP)
    assert [next(generation), next(generation)] == [5, 6]
    with pytest.raises(EngineError, match="after 2 tokens"):
        next(generation)
    assert list(generation) == []


def test_engine_that_runs_one_at_a_time_refuses_a_second():
    engine = FakeEngine([5], concurrent=False)
    first = engine.start([1], Decoding(5), STOP)
    with pytest.raises(EngineError, match="one generation at a time; wait"):
        engine.start([1], Decoding(5), STOP)
    first.cancel()
    for stop_ids, answer in ((STOP, [5, 9]), (frozenset(), [5, 5])):
        assert list(engine.start([1], Decoding(2), stop_ids)) == answer
    assert list(engine.start([1], Decoding(5), STOP)) == [5, 9]


def test_closed_engine_cancels_and_refuses():
    engine = FakeEngine([5, 6])
    generation = engine.start([1], Decoding(5), STOP)
    engine.close()
    engine.close()
    assert list(generation) == []
    with pytest.raises(EngineError, match="closed"):
        engine.start([1], Decoding(5), STOP)


def test_empty_prompt_is_refused():
    with pytest.raises(EngineError, match="no tokens"):
        FakeEngine().start([], Decoding(5), STOP)


def test_runtime_refuses_what_it_does_not_have(tmp_path):
    runtime = FakeRuntime()
    with pytest.raises(DeviceError, match="no device 'npu'"):
        runtime.open(tmp_path, "npu", {})
    with pytest.raises(UsageError, match="does not know the property 'NUM_STREAMS'"):
        runtime.open(tmp_path, "cpu", {"NUM_STREAMS": "2"})
    with pytest.raises(ArtifactError, match="no folder"):
        runtime.open(tmp_path / "missing", "cpu", {})
    assert runtime.engines == []


def test_logprobs_are_of_the_tokens_so_far_and_only_where_asked():
    generation = FakeEngine(vocabulary=4).start([1], Decoding(5, logprobs=True), STOP)
    next(generation)
    assert generation.logprobs == pytest.approx([-math.log(4)])
    list(generation)
    assert len(generation.logprobs) == 5
    certain = FakeEngine([5]).start([1], Decoding(5, logprobs=True), STOP)
    assert (list(certain), certain.logprobs) == ([5, 9], [0.0, 0.0])
    silent = FakeEngine([5]).start([1], Decoding(5), STOP)
    assert (list(silent), silent.logprobs) == ([5, 9], [])


def test_constraint_is_taken_where_it_is_declared(tmp_path):
    asked = Decoding(5, constraint=Constraint("regex", "a"))
    runtime = FakeRuntime([5], constraints=frozenset({"regex"}))
    engine = runtime.open(tmp_path, "cpu", {})
    runtime.capabilities("cpu").check_decoding(asked)
    assert list(engine.start([1], asked, STOP)) == [5, 9]
    assert engine.requests[0].decoding.constraint == Constraint("regex", "a")
    with pytest.raises(UsageError, match="can't enforce a regex"):
        FakeEngine([5]).start([1], asked, STOP)
