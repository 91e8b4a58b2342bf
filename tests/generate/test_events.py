from __future__ import annotations

import json

import pytest

from aipc.errors import GenerationError
from aipc.generate import Answerer
from aipc.generate.events import Finished, Reply, Text, Timings, ToolCall, Usage, collect

END = Finished("stop", Usage(4, 3), Timings(0.5, 10.0, 0.7))


def test_reply_is_the_sum_of_the_events():
    reply = collect([Text("Par", (7,)), Text("is", (8,)), Text("", (2,)), END])
    assert reply == Reply("Paris", (7, 8, 2), "stop", END.usage, END.timings)
    assert reply.usage.total_tokens == 7


def test_every_event_has_text_to_print():
    events = [Text("Paris", (7,)), ToolCall("1", "now", "{}"), END]
    assert "".join(event.text for event in events) == "Paris"


def test_calls_and_probabilities_are_in_the_reply():
    call = ToolCall("1", "now", "{}")
    reply = collect([Text("a", (7, 8), (-0.5, -1.0)), call, Text("", (2,), (-2.0,)), END])
    assert (reply.tool_calls, reply.logprobs) == ((call,), (-0.5, -1.0, -2.0))
    assert json.loads(json.dumps(reply.as_dict()))["tool_calls"] == [
        {"id": "1", "name": "now", "arguments": "{}"}
    ]


def test_reply_is_plain_data_for_json():
    reply = collect([Text("Paris", (7,)), END])
    content = json.loads(json.dumps(reply.as_dict()))
    assert content["text"] == "Paris"
    counts = {"prompt_tokens": 4, "completion_tokens": 3, "thinking_tokens": 0, "cached_tokens": 0}
    assert content["usage"] == counts
    assert content["timings"]["first_token_s"] == 0.5


def test_events_without_an_end_are_no_reply():
    with pytest.raises(GenerationError, match="before the answer was finished"):
        collect([Text("Par", (7,))])


class Echo(Answerer):
    closed = False

    def stream(self, prompt, **options):
        yield Text(prompt * options.get("times", 1), ())
        yield Finished("stop", Usage(1, 1), Timings(None, None, 0.0))

    def close(self):
        self.closed = True


def test_the_whole_answer_is_the_streamed_one():
    assert Echo().generate("a", times=3).text == "aaa"


def test_leaving_the_block_closes_whatever_happened():
    with pytest.raises(KeyError), Echo() as echo:
        raise KeyError
    assert echo.closed
