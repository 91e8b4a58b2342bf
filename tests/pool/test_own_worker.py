from __future__ import annotations

import threading
import time

import fake_session
import pytest

from aipc.errors import AipcError, DeviceError, EngineBroken, EngineError
from aipc.generate import Finished, Text
from aipc.generate.request import GenerationRequest
from aipc.pool.failures import WorkerDied
from aipc.pool.own_worker import OwnWorker
from aipc.pool.worker.messages import Begun


@pytest.fixture
def worker(tmp_path):
    """Call it with a model's name for a worker that loads it; ``heard`` is what it said."""
    made = []

    def start(name="fake"):
        heard = []
        one = OwnWorker(
            lambda what, done, total: heard.append((what, done, total)),
            heard.append,
            lambda: heard.append("changed"),
            loader=fake_session.LOADER,
        )
        one.heard = heard
        one.load({"model": name, "device": "cpu", "home": str(tmp_path)})
        made.append(one)
        return one

    yield start
    for one in made:
        one.close()


def ask(worker, text, **more):
    messages = [{"role": "user", "content": text}]
    return worker.stream(GenerationRequest(messages=messages, **more))


def words(events):
    return "".join(event.text for event in events)


def test_it_tells_when_it_is_ready_and_answers(worker):
    one = worker()
    assert one.wait().context > 0
    assert one.heard[-1] == "changed"
    assert words(ask(one, "a b")) == "a b "
    first, *rest = ask(one, "a b", tell_prompt=True)
    assert first == Begun(2)
    assert isinstance(rest[-1], Finished)
    assert rest[-1].reason == "stop"


def test_several_answers_are_told_apart(worker):
    one = worker()
    one.wait()
    streams = [ask(one, f"say {at}") for at in range(3)]
    assert [words(stream) for stream in reversed(streams)] == ["say 2 ", "say 1 ", "say 0 "]


def test_a_model_that_can_not_be_loaded_tells_why(worker):
    one = worker("broken")
    with pytest.raises(DeviceError):
        one.wait()
    assert one.ready is None
    with pytest.raises(AipcError):
        next(ask(one, "hello"))


def test_an_answer_that_fails_leaves_the_worker(worker):
    one = worker()
    one.wait()
    with pytest.raises(EngineError, match="fail"):
        words(ask(one, "fail"))
    assert words(ask(one, "on")) == "on "


@pytest.mark.parametrize(("text", "error"), [("die after 1", WorkerDied), ("break", EngineBroken)])
def test_a_process_that_dies_fails_its_answers_and_says_so(worker, text, error):
    one = worker()
    one.wait()
    with pytest.raises(error):
        words(ask(one, text))
    while one.error is None:
        time.sleep(0.01)
    assert isinstance(one.error, WorkerDied)
    with pytest.raises(WorkerDied, match="the model's process"):
        next(ask(one, "hello"))


def test_closing_an_answer_waits_for_no_token(worker):
    one = worker()
    one.wait()
    stream = ask(one, "count 100 every 0.2")
    assert isinstance(next(stream), Text)
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 0.1
    assert list(stream) == []
    assert words(ask(one, "next")) == "next "


def test_while_it_loads_it_can_be_ended_at_once(worker):
    one = worker("slow")
    failed = []
    waiting = threading.Thread(target=lambda: failed.append(_error(one)))
    waiting.start()
    started = time.monotonic()
    one.close()
    assert time.monotonic() - started < 2
    waiting.join()
    assert isinstance(failed[0], WorkerDied)


def _error(one):
    try:
        one.wait()
    except AipcError as error:
        return error
    return None
