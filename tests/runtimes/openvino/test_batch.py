"""How requests share a pipeline, with a pipeline that does as it is told."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
import weakref
from types import SimpleNamespace

import openvino_genai
import pytest
from openvino_scorer import EXACT

from aipc.errors import EngineBroken, EngineError
from aipc.runtimes.base import Decoding
from aipc.runtimes.openvino.batch import Batch, BatchRequest
from aipc.runtimes.openvino.engine import PROMPT_CHUNK, OpenVINORuntime

STATUS = openvino_genai.GenerationStatus
NOTHING = frozenset()


class Handle:
    def __init__(self, tokens):
        self.left, self.made, self.status = tokens, [], STATUS.RUNNING

    def cancel(self):
        self.status = STATUS.CANCEL

    def get_status(self):
        return self.status

    def can_read(self):
        return bool(self.made)

    def read(self):
        made, self.made = self.made, []
        return {0: SimpleNamespace(generated_ids=made, generated_log_probs=[-1.0] * len(made))}


class Pipeline:
    """Gives every request its tokens, one a step; ``config`` is how many, or an error."""

    def __init__(self):
        self.running, self.steps = [], 0
        self.most_at_once = 0
        self.threads = set()

    def add_request(self, number, prompt, config):
        if isinstance(config, Exception):
            raise config
        self.running.append(Handle(config))
        return self.running[-1]

    def has_non_finished_requests(self):
        return bool(self.running)

    def step(self):
        self.threads.add(threading.current_thread())
        self.steps += 1
        self.most_at_once = max(self.most_at_once, len(self.running))
        for handle in self.running:
            if handle.status == STATUS.RUNNING:
                handle.made.append(handle.left)
                handle.left -= 1
                handle.status = STATUS.RUNNING if handle.left else STATUS.FINISHED
        self.running = [each for each in self.running if each.status == STATUS.RUNNING]
        time.sleep(0.001)


@pytest.fixture
def start():
    with contextlib.ExitStack() as stack:

        def make(pipeline, room=None, prepare=None, adapters=None):
            batch = Batch(pipeline, room, prepare, adapters)
            stack.callback(batch.close)
            return batch

        yield make


def ask(batch, tokens, length=10, adapter=""):
    request = BatchRequest("a prompt", tokens, length, adapter=adapter)
    batch.add(request)
    return request


def read(request):
    ids = []
    while chunk := request.read().ids:
        ids += chunk
    return ids


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_requests_advance_together_whoever_reads(start):
    pipeline = Pipeline()
    batch = start(pipeline)
    first, second = ask(batch, 9), ask(batch, 5)
    assert read(second) == [5, 4, 3, 2, 1]
    assert read(first) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert first.read().ids == []
    assert pipeline.steps < 14
    assert len(pipeline.threads) == 1


def test_nothing_is_stepped_while_nobody_asks(start):
    pipeline = Pipeline()
    batch = start(pipeline)
    read(ask(batch, 3))
    wait_for(lambda: not pipeline.running)
    steps = pipeline.steps
    time.sleep(0.05)
    assert pipeline.steps == steps
    assert read(ask(batch, 2)) == [2, 1]


def test_the_only_request_is_freed_when_it_is_cancelled(start):
    pipeline = Pipeline()
    request = ask(start(pipeline), 10**9)
    request.read()
    request.cancel()
    request.cancel()
    wait_for(lambda: not pipeline.running)


def test_a_request_cancelled_before_its_turn_never_begins(start):
    pipeline = Pipeline()
    batch = start(pipeline, room=10)
    first = ask(batch, 10**9)
    first.read()
    waiting = ask(batch, 3)
    waiting.cancel()
    assert waiting.read().ids == []
    first.cancel()
    wait_for(lambda: not pipeline.running)
    assert read(ask(batch, 3)) == [3, 2, 1]
    assert pipeline.most_at_once == 1


def test_requests_wait_for_room_and_a_larger_one_runs_alone(start):
    pipeline = Pipeline()
    batch = start(pipeline, room=20)
    requests = [ask(batch, 5, length) for length in (10, 10, 10, 100, 10)]
    assert [read(request) for request in requests] == [[5, 4, 3, 2, 1]] * 5
    assert pipeline.most_at_once == 2


def test_a_refused_request_is_told_and_nobody_else(start):
    batch = start(Pipeline())
    good, bad = ask(batch, 4), ask(batch, RuntimeError("no such thing"))
    with pytest.raises(EngineError, match="refused the request: no such thing"):
        bad.read()
    assert bad.read().ids == []
    assert read(good) == [4, 3, 2, 1]


@pytest.mark.parametrize("error", [RuntimeError("lost"), MemoryError(), ValueError("lost")])
def test_a_failure_reaches_every_reader_and_whoever_asks_later(start, error):
    pipeline = Pipeline()
    batch = start(pipeline, room=20)
    requests = [ask(batch, 10**9) for _ in range(3)]
    for request in requests[:2]:
        request.read()

    def fail():
        raise error

    pipeline.step = fail
    for request in requests:
        with pytest.raises(EngineBroken, match="failed while generating") as caught:
            read(request)
        assert caught.value.__cause__ is error
        assert request.read().ids == []
    with pytest.raises(EngineBroken, match=r"can't go on after an error .*; load it again"):
        ask(batch, 3)


def test_the_pipeline_is_prepared_once_before_its_first_request(start):
    pipeline, prepared = Pipeline(), []
    batch = start(pipeline, prepare=lambda given: prepared.append((given, given.steps)))
    assert not prepared
    for _ in range(2):
        assert read(ask(batch, 3)) == [3, 2, 1]
    assert prepared == [(pipeline, 0)]


def test_a_failure_to_prepare_reaches_who_asked(start):
    def fail(_):
        raise MemoryError

    request = ask(start(Pipeline(), prepare=fail), 3)
    with pytest.raises(EngineError, match="failed while generating: no memory left"):
        request.read()


def test_closing_ends_what_runs_and_lets_go_of_the_pipeline(start):
    pipeline = Pipeline()
    batch = start(pipeline, room=10)
    running, waiting = ask(batch, 10**9), ask(batch, 3)
    batch.close()
    batch.close()
    for request in (running, waiting):
        with pytest.raises(EngineError, match="closed"):
            read(request)
    with pytest.raises(EngineError, match="closed"):
        ask(batch, 3)
    gone = weakref.ref(pipeline)
    del pipeline
    gc.collect()
    assert gone() is None


def test_an_engine_that_is_dropped_ends_its_thread(tiny_artifact):
    engine = OpenVINORuntime().open(tiny_artifact("llama-gqa")[0], "cpu", EXACT)
    generation = engine.start((1, 2, 3), Decoding(100), NOTHING)
    next(generation)
    thread = engine._batch._thread
    del engine, generation
    gc.collect()
    assert not thread.is_alive()


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_closing_under_way_leaves_nothing_for_the_vendor_to_complain_of(
    is_cancelled, tiny_artifact, capfd
):
    engine = OpenVINORuntime().open(tiny_artifact("llama-gqa")[0], "cpu", EXACT)
    generation = engine.start((1, 2, 3), Decoding(100), NOTHING)
    next(generation)
    if is_cancelled:
        generation.cancel()
    engine.close()
    assert capfd.readouterr() == ("", "")


def test_64_streams_are_those_of_each_alone(tiny_artifact):
    engine = OpenVINORuntime().open(tiny_artifact("llama-gqa")[0], "cpu", EXACT)
    prompts = [(n, 7, 250 - n) for n in range(64)]
    alone = [list(engine.start(prompt, Decoding(24), NOTHING)) for prompt in prompts]
    running = [engine.start(prompt, Decoding(24), NOTHING) for prompt in prompts]
    assert [list(each) for each in running] == alone
    engine.close()


class Counting:
    """A real pipeline whose steps are counted."""

    def __init__(self, pipeline):
        self._pipeline = pipeline
        self.steps = 0

    def __getattr__(self, name):
        return getattr(self._pipeline, name)

    def step(self):
        self.steps += 1
        self._pipeline.step()


def test_a_long_prompt_lets_others_have_their_tokens_between_its_pieces(tiny_artifact):
    folder, _, _ = tiny_artifact("llama-gqa")
    engine = OpenVINORuntime().open(folder, "cpu", EXACT)
    engine._batch._pipeline = counting = Counting(engine._batch._pipeline)
    list(engine.start([7] * (4 * PROMPT_CHUNK), Decoding(1), NOTHING))
    engine.close()
    assert counting.steps == 4
    assert PROMPT_CHUNK <= 512


class Adapters:
    """Notes each change, and that the pipeline had no requests then."""

    def __init__(self):
        self.current, self.changes = None, []

    def is_current(self, name):
        return name == self.current

    def switch(self, pipeline, name):
        if name != self.current:
            assert not pipeline.has_non_finished_requests()
            self.changes.append(name)
        self.current = name


def test_requests_of_one_adapter_run_together_and_others_wait_in_turn(start):
    pipeline, adapters = Pipeline(), Adapters()
    batch = start(pipeline, adapters=adapters)
    first = ask(batch, 200, adapter="a")
    first.read()
    others = [ask(batch, 3, adapter=name) for name in ("a", "", "a", "", "b", "b")]
    for request in (*others, first):
        read(request)
    assert adapters.changes == ["a", "", "a", "", "b"]
    assert pipeline.most_at_once == 2


def test_a_cancelled_request_keeps_no_other_adapter_waiting(start):
    pipeline, adapters = Pipeline(), Adapters()
    batch = start(pipeline, adapters=adapters)
    first = ask(batch, 10**9, adapter="a")
    first.read()
    second = ask(batch, 3, adapter="b")
    first.cancel()
    assert read(second) == [3, 2, 1]
    assert adapters.changes == ["a", "b"]


def test_nothing_is_changed_for_who_asks_on(start):
    adapters = Adapters()
    batch = start(Pipeline(), adapters=adapters)
    for _ in range(3):
        assert read(ask(batch, 2, adapter="a")) == [2, 1]
    assert adapters.changes == ["a"]
