from __future__ import annotations

import json
import random
import threading
import time

import numpy as np
import pytest

from aipc.errors import EngineError, GenerationError, PromptTooLong, UsageError
from aipc.generate.detokenize import Detokenizer
from aipc.generate.events import Alternative, Echo, Finished, Text, ToolCall, collect
from aipc.generate.generator import stream
from aipc.generate.repetition import RepetitionDetection
from aipc.generate.stops import StopStrings
from aipc.generate.structured.call_reader import CallReader
from aipc.generate.structured.tool_format import format_of
from aipc.generate.writer import Writer
from aipc.runtimes.base import Decoding
from aipc.runtimes.fake import FakeEngine, FakeScorer

ANSWER = "the capital of France is Paris. 😀 今日"
END = 400  # "<s>" 400, "</s>" 401, "<|end|>" 402 in the byte-level tokenizer of the tests


@pytest.fixture
def script(byte_level):
    return byte_level.encode(ANSWER, add_special_tokens=False)


def ask(engine, tokenizer, *, prompt=(1, 2, 3), limit=100, context=1000, **options):
    return stream(engine, tokenizer, prompt, Decoding(limit), context=context, **options)


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_stop_id_ends_the_answer_and_is_counted(byte_level, script):
    reply = collect(ask(FakeEngine([*script, END, 5]), byte_level, stop_ids={END}))
    assert reply.text == ANSWER
    assert reply.tokens == (*script, END)
    assert reply.finish_reason == "stop"
    assert reply.usage.prompt_tokens == 3
    assert reply.usage.completion_tokens == len(script) + 1


def test_events_hold_each_token_once_and_end_with_finished(byte_level, script):
    *texts, last = ask(FakeEngine(script), byte_level, stop_ids={END})
    assert isinstance(last, Finished)
    assert len(texts) > 5
    assert sum((event.tokens for event in texts), ()) == (*script, END)
    assert all(event.text for event in texts[:-1])
    assert texts[-1] == Text("", (END,))


def test_engine_is_asked_with_the_concrete_request(byte_level, script):
    engine = FakeEngine(script)
    collect(ask(engine, byte_level, prompt=[4, 5], limit=7, stop_ids=[END]))
    (request,) = engine.requests
    assert request.prompt == (4, 5)
    assert request.decoding == Decoding(7)
    assert request.stop_ids == {END}


def test_stop_string_across_tokens_is_cut_and_ends_the_engine_s_work(byte_level, script):
    engine = FakeEngine(script)
    reply = collect(ask(engine, byte_level, stops=["nce is P", "Paris"]))
    assert reply.text == "the capital of Fra"
    assert reply.finish_reason == "stop"
    *_, end = ask(FakeEngine(script), byte_level, stops=["nce is P", "Paris"])
    assert end.stop == "nce is P"
    assert reply.usage.completion_tokens == len(reply.tokens) < len(script)
    assert engine.generations[0].ended


def test_held_beginning_of_a_stop_string_is_given_at_the_end(byte_level, script):
    events = [*ask(FakeEngine(script), byte_level, stops=["今日は"], stop_ids={END})]
    assert collect(events).text == ANSWER
    assert events[-1].stop is None


def test_token_limit_ends_with_length(byte_level, script):
    reply = collect(ask(FakeEngine(script), byte_level, limit=4))
    assert reply.finish_reason == "length"
    assert reply.tokens == tuple(script[:4])


def test_character_cut_by_the_limit_is_a_replacement_character(byte_level):
    tokens = byte_level.encode("a👍🏽", add_special_tokens=False)
    cut = next(n for n in range(2, len(tokens)) if "\ufffd" in byte_level.decode(tokens[:n]))
    reply = collect(ask(FakeEngine(tokens), byte_level, limit=cut))
    assert reply.text == byte_level.decode(tokens[:cut])
    assert reply.text.endswith("\ufffd")


def test_engine_that_does_not_count_is_held_to_the_limit(byte_level):
    class Talker(FakeEngine):
        def start(self, prompt, decoding, stop_ids):
            return super().start(prompt, Decoding(10**6), stop_ids)

    engine = Talker()
    assert len(collect(ask(engine, byte_level, limit=4)).tokens) == 4
    assert engine.generations[0].ended


def test_a_loop_ends_the_answer_where_it_is_looked_for(byte_level, script):
    loop = byte_level.encode("so the", add_special_tokens=False)
    rounds = max(3, -(-24 // len(loop)))
    engine = FakeEngine([*script, *loop * 50])
    reply = collect(ask(engine, byte_level, limit=200, repetition=RepetitionDetection()))
    assert reply.finish_reason == "repetition"
    assert reply.text.startswith(ANSWER)
    assert reply.text == byte_level.decode(reply.tokens)
    assert len(script) + 24 <= len(reply.tokens) <= len(script) + rounds * len(loop)
    assert reply.usage.completion_tokens == len(reply.tokens)
    assert engine.generations[0].ended


@pytest.mark.parametrize("rule", [None, RepetitionDetection(max_pattern_size=0)])
def test_a_loop_that_nobody_looks_for_goes_on_to_the_limit(byte_level, rule):
    tokens = byte_level.encode("so the ", add_special_tokens=False)
    reply = collect(ask(FakeEngine(tokens * 99), byte_level, limit=200, repetition=rule))
    assert (reply.finish_reason, len(reply.tokens)) == ("length", 200)


def test_zeros_are_no_loop_for_much_longer_than_words(byte_level):
    zero, word = (byte_level.encode(text, add_special_tokens=False)[:1] for text in ("0", "a"))
    rule = RepetitionDetection()
    zeros = collect(ask(FakeEngine(zero * 600), byte_level, limit=600, repetition=rule))
    words = collect(ask(FakeEngine(word * 600), byte_level, limit=600, repetition=rule))
    assert (len(zeros.tokens), len(words.tokens)) == (512, 24)


def test_text_held_for_a_stop_string_is_given_when_a_loop_ends_the_answer(byte_level):
    tokens = byte_level.encode("ab", add_special_tokens=False) * 50
    rule = RepetitionDetection()
    whole = collect(ask(FakeEngine(tokens), byte_level, repetition=rule))
    held = collect(ask(FakeEngine(tokens), byte_level, stops=["b" + "ab" * 30], repetition=rule))
    assert held.finish_reason == whole.finish_reason == "repetition"
    assert held.text == whole.text


def test_context_bounds_the_answer(byte_level, script):
    engine = FakeEngine(script)
    reply = collect(ask(engine, byte_level, prompt=range(7), context=10))
    assert reply.finish_reason == "length"
    assert reply.usage.completion_tokens == 3
    assert engine.requests[0].decoding.max_new_tokens == 3


def test_prompt_longer_than_the_context_is_refused_at_once_with_the_numbers(byte_level):
    engine = FakeEngine()
    expected = (
        r"prompt is too long: 1,200 tokens, and the context holds 1,100, .*shorten it by 101 tokens"
    )
    with pytest.raises(PromptTooLong, match=expected):
        ask(engine, byte_level, prompt=range(1200), context=1100)
    with pytest.raises(PromptTooLong, match="shorten it by 1 tokens"):
        ask(engine, byte_level, prompt=range(10), context=10)
    assert collect(ask(engine, byte_level, prompt=range(9), context=10)).tokens
    assert len(engine.requests) == 1


def test_empty_prompt_and_empty_stop_string_are_refused_at_once(byte_level):
    with pytest.raises(GenerationError, match="no tokens"):
        ask(FakeEngine(), byte_level, prompt=())
    with pytest.raises(UsageError, match="empty"):
        ask(FakeEngine(), byte_level, stops=[""])


def test_nothing_starts_before_the_first_event_is_asked_for(byte_level, script):
    engine = FakeEngine(script)
    events = ask(engine, byte_level)
    assert engine.requests == []
    next(events)
    assert len(engine.requests) == 1


def test_closing_cancels_the_generation(byte_level):
    engine = FakeEngine()
    events = ask(engine, byte_level)
    next(events)
    assert not engine.generations[0].ended
    events.close()
    assert engine.generations[0].ended
    assert list(events) == []


def test_dropping_the_iterator_cancels_the_generation(byte_level):
    engine = FakeEngine()
    for _ in ask(engine, byte_level):
        break
    wait_until(lambda: engine.generations[0].ended)


def test_interrupt_while_waiting_for_a_token_cancels_the_generation(byte_level, script):
    engine = FakeEngine()

    def interrupted():
        yield from script[:3]
        raise KeyboardInterrupt

    engine._tokens = lambda request: interrupted()
    events = ask(engine, byte_level)
    with pytest.raises(KeyboardInterrupt):
        list(events)
    assert engine.generations[0].ended


def test_cancel_from_another_thread_wakes_a_slow_engine_and_keeps_the_text(byte_level, script):
    engine = FakeEngine(script * 100, delay=0.02)
    events = ask(engine, byte_level, limit=10_000, context=20_000)
    first = next(events)
    timer = threading.Timer(0.1, events.cancel)
    timer.start()
    reply = collect(events)
    timer.join()
    assert reply.finish_reason == "cancelled"
    assert 0 < reply.usage.completion_tokens < 100
    assert (ANSWER * 100).startswith(first.text + reply.text)
    assert len(first.tokens + reply.tokens) == reply.usage.completion_tokens
    assert engine.generations[0].ended


def test_cancel_before_the_start_starts_nothing(byte_level):
    engine = FakeEngine()
    events = ask(engine, byte_level)
    events.cancel()
    reply = collect(events)
    assert (reply.text, reply.finish_reason, reply.usage.completion_tokens) == ("", "cancelled", 0)
    assert reply.timings.first_token_s is None
    assert engine.requests == []


def test_cancel_while_the_engine_starts_reaches_the_generation(byte_level):
    class Slow(FakeEngine):
        def start(self, prompt, decoding, stop_ids):
            generation = super().start(prompt, decoding, stop_ids)
            events.cancel()
            return generation

    engine = Slow()
    events = ask(engine, byte_level)
    assert collect(events).usage.completion_tokens == 0
    assert engine.generations[0].ended


def test_cancel_holds_an_engine_that_goes_on(byte_level):
    engine = FakeEngine()
    events = ask(engine, byte_level)
    next(events)
    engine.generations[0].cancel = lambda: None
    events.cancel()
    assert collect(events).usage.completion_tokens < 5


def test_cancel_after_the_end_changes_nothing(byte_level, script):
    events = ask(FakeEngine(script), byte_level, stop_ids={END})
    assert collect(events).finish_reason == "stop"
    events.cancel()
    events.close()


def test_closed_engine_ends_the_answer_as_cancelled(byte_level):
    engine = FakeEngine()
    events = ask(engine, byte_level)
    next(events)
    engine.close()
    assert collect(events).finish_reason == "cancelled"


def test_error_of_the_engine_comes_through_and_ends_the_generation(byte_level, script):
    engine = FakeEngine(script, fails_after=3)
    events = ask(engine, byte_level)
    with pytest.raises(EngineError, match="failed after 3 tokens"):
        list(events)
    assert engine.generations[0].ended


def test_two_answers_at_once_do_not_mix(byte_level, script):
    engine = FakeEngine(script, delay=0.001)
    replies = {}

    def answer(number):
        replies[number] = collect(ask(engine, byte_level, prompt=[number], stop_ids={END}))

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [replies[number].text for number in range(4)] == [ANSWER] * 4


def test_timings_follow_the_engine(byte_level, script):
    start = time.perf_counter()
    reply = collect(ask(FakeEngine(script, delay=0.02), byte_level, limit=6))
    wall = time.perf_counter() - start
    timings = reply.timings
    assert 0.02 <= timings.first_token_s < timings.total_s <= wall
    assert timings.total_s >= 6 * 0.02
    assert 5 / wall < timings.decode_tokens_per_s <= 1 / 0.02


def test_one_token_has_no_decode_rate(byte_level, script):
    assert collect(ask(FakeEngine(script), byte_level, limit=1)).timings.decode_tokens_per_s is None


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
        events += writer.feed(token, (-float(number), ((number, -float(number)),)))
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
        told = [one for event in texts for one in event.top_logprobs]
        spelled = ((number, tokenizer.bytes_of(number)) for number in range(len(given)))
        assert told == [
            (Alternative(number, -float(number), tokenizer.written(number), piece),)
            for number, piece in spelled
        ]


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


def echoed(tokenizer, prompt, engine=None, **more):
    return list(
        stream(
            engine or FakeEngine(encode(tokenizer, "Paris")),
            tokenizer,
            prompt,
            Decoding(9, **more),
            context=64,
            stop_ids=(END,),
            echo=True,
        )
    )


def test_a_prompt_comes_first_where_it_is_asked_for(byte_level):
    prompt = [byte_level.id_of("<s>"), *encode(byte_level, "où 😀")]
    echo, *rest = echoed(byte_level, prompt)
    assert echo == Echo("où 😀", tuple(prompt))
    reply = collect([echo, *rest])
    assert (reply.echo, reply.text, echo.text) == (echo, "Paris", "")
    assert reply.usage.prompt_tokens == len(prompt)
    assert reply.tokens == (*encode(byte_level, "Paris"), END)


def test_its_probabilities_are_those_of_the_scores(byte_level):
    prompt = [byte_level.id_of("<s>"), *encode(byte_level, "où 😀")]
    engine = FakeEngine(encode(byte_level, "x"), vocabulary=byte_level.vocabulary_size)
    echo = echoed(byte_level, prompt, engine, logprobs=True, top_logprobs=2)[0]
    rows = np.concatenate(list(FakeScorer(byte_level.vocabulary_size).logits(prompt)))[:-1]
    odds = np.exp(rows.astype(np.float64))
    shares = np.log(odds / odds.sum(axis=1, keepdims=True))
    assert echo.logprobs[0] is None
    assert echo.logprobs[1:] == pytest.approx(shares[np.arange(len(rows)), prompt[1:]], abs=1e-6)
    assert echo.pieces == tuple(byte_level.bytes_of(token) for token in prompt)
    assert echo.top_logprobs[0] == ()
    best = [[one.token for one in told] for told in echo.top_logprobs[1:]]
    assert best == np.argsort(-rows, axis=1)[:, :2].tolist()


def test_no_answer_is_computed_where_none_is_wanted(byte_level):
    engine = FakeEngine([65], vocabulary=byte_level.vocabulary_size)
    prompt = encode(byte_level, "Paris")
    decoding = Decoding(0, logprobs=True)
    asked = {"context": len(prompt), "echo": True}  # which the prompt may fill
    echo, end = stream(engine, byte_level, prompt, decoding, **asked)
    assert len(echo.logprobs) == len(prompt)
    assert (end.reason, end.usage.completion_tokens) == ("length", 0)
    assert engine.requests == []


def test_a_prompt_that_is_judged_can_be_cancelled(byte_level):
    engine = FakeEngine([65], vocabulary=byte_level.vocabulary_size)
    prompt = encode(byte_level, "Paris and London")
    events = stream(engine, byte_level, prompt, Decoding(3, logprobs=True), context=64, echo=True)
    events.cancel()
    (end,) = events
    assert end.reason == "cancelled"
    assert engine.requests == []
