from __future__ import annotations

import json

import pytest

from aipc import errors
from aipc.errors import EngineError, PromptTooLong
from aipc.generate import (
    Alternative,
    Echo,
    Finished,
    Text,
    Thinking,
    Timings,
    ToolCall,
    Usage,
)
from aipc.generate.request import GenerationRequest
from aipc.pool.worker import messages
from aipc.pool.worker.messages import VendorError


def through_json(data):
    return json.loads(json.dumps(data))


@pytest.mark.parametrize(
    "event",
    [
        Text("één 🙂 \ud83d", (1, 2), (-0.25, -1e-9), (b"\xf0\x9f", b"\x99\x82 ")),
        Text("", (7,)),
        messages.Begun(7),
        Thinking("één", (1, 2), (-0.25, -1e-9), (b"\xc3\xa9\xc3", b"\xa9n")),
        Text("a", (1,), (-0.5,), (b"a",), ((Alternative(7, -0.25, "\ufffd", b"\xc3"),),)),
        Thinking("a", (1,), (-0.5,), (b"a",), ((Alternative(2, -0.25, "<end>", b""),),)),
        Echo("één", (1, 2), (None, -0.5), (b"", b"\xc3"), ((), (Alternative(2, -1.0, "x", b"x"),))),
        Echo("één", (1, 2)),
        ToolCall("call_1", "look", '{"where": "here"}'),
        Finished("tool_calls", Usage(3, 4, 2, 1), Timings(None, None, 0.5)),
        Finished("stop", Usage(3, 4), Timings(None, None, 0.5), stop="END"),
    ],
)
def test_events_survive_the_way(event):
    data = through_json(messages.event_to_data(event))
    assert messages.event_from_data(data) == event


def test_a_request_survives_the_way_without_its_client():
    request = GenerationRequest(
        messages=[{"role": "user", "content": "hello"}],
        sampling={"seed": 0, "temperature": 0.0},
        stop=["."],
        schema={},
        tools=[{"type": "function"}],
        tool_choice="required",
        logprobs=True,
        repetition_detection={},
        client="somebody's key",
    )
    data = through_json(messages.request_to_data(request))
    assert "somebody" not in json.dumps(data)
    back = messages.request_from_data(data)
    assert {**vars(back), "client": request.client} == vars(request)


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if getattr(kind, "__module__", "") == errors.__name__ and isinstance(kind, type)
    ],
)
def test_every_error_of_the_tree_survives_the_way(kind):
    error = kind("what happened", "what to do")
    back = messages.error_from_data(through_json(messages.error_to_data(error)))
    assert (type(back), back.what, back.fix) == (kind, "what happened", "what to do")


def test_the_vendors_words_come_along():
    error = EngineError("it failed")
    error.__cause__ = RuntimeError("oneDNN said no")
    back = messages.error_from_data(through_json(messages.error_to_data(error)))
    assert isinstance(back.__cause__, VendorError)
    assert str(back.__cause__) == "RuntimeError: oneDNN said no"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc")])
def test_memory_that_is_not_there_is_named(error):
    told = messages.error_from_data(messages.error_to_data(error))
    assert str(told).startswith("out of memory (")
    assert told.fix


def test_a_kind_of_error_that_is_not_in_the_tree_is_told_as_the_nearest_that_is():
    class Longer(PromptTooLong):
        pass

    assert messages.error_to_data(Longer("long"))["kind"] == "PromptTooLong"
    foreign = messages.error_to_data(KeyError("x"))
    assert foreign["kind"] == "EngineError"
    assert foreign["what"] == "the worker failed: KeyError: 'x'"
