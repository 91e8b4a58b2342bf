from __future__ import annotations

import json
import random

import pytest

from aipc.generate.detokenize import Detokenizer
from aipc.generate.events import Text, ToolCall
from aipc.generate.generator import stream
from aipc.generate.stops import StopStrings
from aipc.generate.structured.call_reader import CallReader
from aipc.generate.structured.tool_format import format_of
from aipc.generate.writer import Writer
from aipc.runtimes.base import Decoding
from aipc.runtimes.fake import FakeEngine

FORM = format_of(None)
CALL = FORM.write([{"name": "weather", "arguments": {"city": "Größe 😀"}}])
SPECIAL_CALL = ["<s>", '[{"name": "now"}]', "</s>"]


def encode(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False)


def write(tokenizer, tokens, *, stops=(), reader=None):
    """All events, for the tokens 0, 1, 2 … with as many probabilities."""
    writer = Writer(Detokenizer(tokenizer), StopStrings(stops), reader)
    events = []
    for number, token in enumerate(tokens):
        events += writer.feed(token, -float(number))
        if writer.stopped:
            break
    return [*events, *writer.finish()]


@pytest.mark.parametrize("with_tools", [False, True])
@pytest.mark.parametrize("stops", [(), ("Paris", " is", "\N{GRINNING FACE}")])
def test_every_token_is_in_one_event_with_its_probability(
    tokenizer, random_text, stops, with_tools
):
    source = random.Random(3)
    for _ in range(60):
        tokens = encode(tokenizer, random_text(source) + CALL + random_text(source))
        reader = CallReader(FORM, {"weather"}) if with_tools else None
        texts = [
            event
            for event in write(tokenizer, tokens, stops=stops, reader=reader)
            if isinstance(event, Text)
        ]
        given = [token for event in texts for token in event.tokens]
        assert given == tokens[: len(given)]
        assert stops or len(given) == len(tokens)
        assert [len(event.logprobs) for event in texts] == [len(event.tokens) for event in texts]
        values = [value for event in texts for value in event.logprobs]
        assert values == [-float(number) for number in range(len(given))]
        pieces = [piece for event in texts for piece in event.pieces]
        assert pieces == [tokenizer.bytes_of(token) for token in given]


def test_text_and_calls_come_in_their_order(tokenizer):
    tokens = encode(tokenizer, f"One.{CALL}Two.{CALL}")
    reader = CallReader(FORM, {"weather"})
    events = write(tokenizer, tokens, reader=reader)
    kinds = [event.name if isinstance(event, ToolCall) else event.text for event in events]
    assert "".join(kinds) == "One.weatherTwo.weather"


@pytest.mark.parametrize("special", [True, False])
def test_a_marker_that_is_a_special_token_is_seen(byte_level, special):
    class Form:
        begin, end, arguments, bare = "<s>", "</s>", "arguments", False

    reader = CallReader(Form(), {"now"})
    tokens = [
        *encode(byte_level, "Grüße "),
        byte_level.id_of("<|end|>"),
        *(token for part in SPECIAL_CALL for token in encode(byte_level, part)),
        *encode(byte_level, "danach"),
    ]
    writer = Writer(
        Detokenizer(byte_level, reader.markers if special else ()), StopStrings([]), reader
    )
    events = [event for token in tokens for event in writer.feed(token)] + list(writer.finish())
    text = "".join(event.text for event in events)
    calls = [event.name for event in events if isinstance(event, ToolCall)]
    assert (text, calls) == (
        ("Grüße danach", ["now"]) if special else ('Grüße [{"name": "now"}]danach', [])
    )


def test_a_stop_string_in_a_call_leaves_text_and_no_call(byte_level):
    reader = CallReader(FORM, {"weather"})
    events = write(byte_level, encode(byte_level, CALL), stops=["city"], reader=reader)
    assert "".join(event.text for event in events) == CALL[: CALL.index("city")]
    assert not any(isinstance(event, ToolCall) for event in events)


def test_a_stop_after_calls_says_so_and_an_answer_without_calls_does_not(byte_level):
    def reason(answer):
        engine = FakeEngine(encode(byte_level, answer))
        events = stream(
            engine,
            byte_level,
            [1],
            Decoding(200),
            context=1000,
            stop_ids={400},
            reader=CallReader(FORM, {"weather"}),
        )
        *_, end = events
        return end.reason

    assert reason(CALL) == "tool_calls"
    assert reason("Sunny.") == "stop"


def test_arguments_come_as_the_model_meant_them(tokenizer):
    events = write(tokenizer, encode(tokenizer, CALL), reader=CallReader(FORM, {"weather"}))
    (call,) = (event for event in events if isinstance(event, ToolCall))
    assert json.loads(call.arguments) == {"city": "Größe 😀"}
    assert (events[-1].text, events[-1].tokens) == ("", tuple(encode(tokenizer, CALL)))
