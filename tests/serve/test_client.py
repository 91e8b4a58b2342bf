from __future__ import annotations

import pytest

from aipc.errors import EngineError, UsageError
from aipc.generate import Finished
from aipc.serve.client import NotServed, connect

KEY = "a-key-that-nobody-guesses"


@pytest.fixture
def session(server):
    notices = []
    with connect(server.url, "fake", "auto", notify=notices.append) as session:
        yield session
    assert notices == []


def test_an_answer_is_that_of_a_session(session):
    reply = session.generate("count 40 every 0.002", temperature=0.5, seed=1)
    assert reply.text == "".join(f"{n} " for n in range(40))
    assert reply.finish_reason == "stop"
    assert reply.usage.completion_tokens == 40
    assert reply.tokens == tuple(range(40))
    assert 0 < reply.timings.first_token_s < reply.timings.total_s
    assert reply.timings.total_s > 0
    assert session.facts["device"] == "cpu"
    assert session.context == 4096


def test_a_limit_and_a_conversation_reach_the_server(session):
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": "count 9"}]
    reply = session.generate(messages, max_new_tokens=3)
    assert (reply.text, reply.finish_reason) == ("0 1 2 ", "length")


def test_a_loop_ends_an_answer_as_it_does_in_a_session(session):
    reply = session.generate("loop 9", repetition_detection={})
    assert (reply.text, reply.finish_reason) == ("0 1 2 3 ", "repetition")
    assert session.generate("loop 9").finish_reason == "stop"


def test_thinking_comes_as_from_a_session_and_its_switches_reach_the_server(session):
    reply = session.generate("think oh well")
    assert (reply.thinking, reply.text, reply.tokens) == ("oh well ", "so ", (0, 1, 2))
    assert reply.usage.thinking_tokens == 2
    more = {"think": True, "reasoning_effort": "low", "thinking_budget": 5}
    told = session.generate("mode", template_options={"a": 1}, **more).text
    assert told.startswith("True low 5 {'a': 1}")


def test_a_cancelled_answer_ends_here_and_there(session, server):
    stream = session.stream("count 100000 every 0.001")
    next(stream)
    stream.cancel()
    last = list(stream)[-1]
    assert isinstance(last, Finished)
    assert last.reason == "cancelled"
    assert session.generate("next").text == "next "


def test_what_the_server_refuses_or_fails_at_is_an_error_here(session):
    with pytest.raises(UsageError, match="the fake refuses"):
        session.generate("refuse")
    with pytest.raises(EngineError, match="the fake failed"):
        session.generate("fail")
    with pytest.raises(UsageError, match="temperature"):
        session.generate("x", temperature=9)


@pytest.mark.parametrize(
    ("model", "device", "reason"),
    [("none", "auto", "unknown"), ("fake", "npu", "on cpu, not on npu")],
)
def test_a_model_that_is_not_ready_there_is_not_waited_for(server, model, device, reason):
    with pytest.raises(NotServed, match=reason):
        connect(server.url, model, device, notify=print)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nowhere", "ftp://127.0.0.1", "http://:x"])
def test_no_server_is_no_session(url):
    with pytest.raises(NotServed, match=f"no server answers at {url}"):
        connect(url, "fake", "auto", notify=print)


def test_the_key_is_asked_for(serve_fakes):
    server = serve_fakes(api_key=KEY)
    with pytest.raises(UsageError, match="AIPC_API_KEY"):
        connect(server.url, "fake", "auto", notify=print)
    with pytest.raises(NotServed, match="stopped"):
        connect(server.url, "fake", "auto", key=KEY, notify=print)
