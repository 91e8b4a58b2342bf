from __future__ import annotations

import pytest

from aipc.devices.counters.counter import Reading
from aipc.errors import EngineError
from aipc.runtimes.base import Decoding
from aipc.runtimes.fake import FakeEngine
from aipc.session.observe import ObservedEngine
from aipc.session_status import StatusPublisher, read_statuses


class Busy:
    """A counter that always sees the same load."""

    def read(self, now):
        return Reading("cpu", "CPU", busy_share=0.5)


@pytest.fixture
def observe(tmp_path, monkeypatch):
    monkeypatch.setattr("aipc.session.observe.find_counters", lambda: (Busy(),))

    def make(engine):
        publication = StatusPublisher(tmp_path, "a model", "fake", engine.device)
        return ObservedEngine(engine, "cpu", publication)

    return make


def ask(engine, tokens=6):
    return engine.start((1, 2, 3), Decoding(tokens), frozenset())


def test_tokens_and_answers_are_told_and_nothing_else_changes(observe, tmp_path):
    bare, engine = FakeEngine(), observe(FakeEngine())
    generation = ask(engine)
    first = next(generation)
    assert read_statuses(tmp_path)[0].answers == 1
    assert [first, *generation] == list(ask(bare))
    (told,) = read_statuses(tmp_path)
    assert (told.answers, told.tokens, told.model) == (0, 6, "a model")
    engine.close()
    assert read_statuses(tmp_path) == ()


def test_logprobs_are_passed_on(observe):
    generation = observe(FakeEngine()).start((1,), Decoding(4, logprobs=True), frozenset())
    assert len(list(generation)) == len(generation.logprobs) == 4


def test_the_load_of_the_latest_answer_stands_in_the_facts(observe):
    engine = observe(FakeEngine())
    assert engine.facts["seen"] == {}
    list(ask(engine))
    assert engine.facts["seen"] == {"busy_share": {"CPU": 0.5}}
    assert engine.facts["device"] == engine.device == "CPU"


def test_answers_at_once_are_watched_together(observe, tmp_path):
    engine = observe(FakeEngine())
    first, second = ask(engine), ask(engine)
    next(first)
    next(second)
    first.cancel()
    first.cancel()
    assert read_statuses(tmp_path)[0].answers == 1
    second.cancel()
    assert read_statuses(tmp_path)[0].answers == 0


def test_a_failure_ends_the_answer(observe, tmp_path):
    engine = observe(FakeEngine(fails_after=2))
    with pytest.raises(EngineError):
        list(ask(engine))
    assert read_statuses(tmp_path)[0].answers == 0


def test_a_refused_start_leaves_nothing_under_way(observe, tmp_path):
    engine = observe(FakeEngine())
    with pytest.raises(EngineError, match="no tokens"):
        engine.start((), Decoding(3), frozenset())
    assert read_statuses(tmp_path)[0].answers == 0
