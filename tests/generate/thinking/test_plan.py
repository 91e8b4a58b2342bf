"""Thinking from an engine's tokens to events: parted, counted, cut at a budget, constrained."""

from __future__ import annotations

from itertools import chain, repeat

import pytest
import thinking_templates as templates

from aipc.generate.events import Finished, Text, Thinking, ToolCall, collect
from aipc.generate.generator import stream
from aipc.generate.structured.call_reader import CallReader
from aipc.generate.structured.constraint import constrain
from aipc.generate.structured.tool_format import format_of
from aipc.generate.thinking.marks import marks_of_template
from aipc.generate.thinking.plan import ThinkingPlan
from aipc.runtimes.base import Decoding
from aipc.runtimes.fake import FakeEngine

MARKS = marks_of_template(templates.QWEN_3)
END = 400  # "<s>" in the byte-level tokenizer of the tests
PROMPT = (1, 2, 3)
JSON = constrain({}).constraint


class Thinker(FakeEngine):
    """Answers each start with a script of its own, and a stop id behind."""

    def __init__(self, *scripts):
        super().__init__(constraints=frozenset({"json_schema"}))
        self.scripts = scripts

    def _answer(self, request):
        return chain(self.scripts[len(self.requests)], repeat(END))


@pytest.fixture
def ids(byte_level):
    return lambda text: byte_level.encode(text, add_special_tokens=False)


@pytest.fixture
def ask(byte_level, ids):
    """(engine, events) for the texts that an engine answers, one for each start."""

    def asked(*texts, limit=500, context=1000, constraint=None, logprobs=False, **options):
        names = {"is_open", "budget", "opening"} & options.keys()
        planned = {"is_open": False, "budget": None} | {one: options.pop(one) for one in names}
        plan = ThinkingPlan.of(MARKS, byte_level, **planned)
        engine = Thinker(*(ids(text) for text in texts))
        decoding = Decoding(limit, constraint=constraint, logprobs=logprobs, seed=7)
        events = stream(
            engine,
            byte_level,
            PROMPT,
            decoding,
            context=context,
            stop_ids={END},
            thinking=plan,
            **options,
        )
        return engine, events

    return asked


def test_thinking_and_answer_are_events_of_their_own_and_counted(ask, ids):
    engine, events = ask("<think>\nWhy so 😀?\n</think>\n\nBecause.")
    *pieces, end = events
    reply = collect([*pieces, end])
    assert (reply.thinking, reply.text, reply.finish_reason) == ("Why so 😀?", "Because.", "stop")
    kinds = [type(one) for one in pieces]
    assert kinds == sorted(kinds, key=[Thinking, Text].index)
    thought = sum((one.tokens for one in pieces if isinstance(one, Thinking)), ())
    assert end.usage.thinking_tokens == len(thought)
    assert reply.tokens == (*ids("<think>\nWhy so 😀?\n</think>\n\nBecause."), END)
    assert end.usage.completion_tokens == len(reply.tokens)
    assert len(engine.requests) == 1


def test_an_answer_without_thinking_is_text_alone(ask):
    *pieces, end = ask("Because <think>.")[1]
    assert all(isinstance(one, Text) for one in pieces)
    assert "".join(one.text for one in pieces) == "Because <think>."
    assert end.usage.thinking_tokens == 0


def test_a_prompt_that_opens_thinking_begins_inside_it(ask):
    reply = collect(ask("why\n</think>\n\nso", is_open=True)[1])
    assert (reply.thinking, reply.text) == ("why", "so")


def test_thinking_that_reaches_the_limit_leaves_no_text(ask, ids):
    limit = len(ids("<think>Why oh "))
    reply = collect(ask("<think>Why oh why</think>so", limit=limit)[1])
    assert (reply.thinking.strip(), reply.text, reply.finish_reason) == ("Why oh", "", "length")
    assert reply.usage.thinking_tokens == reply.usage.completion_tokens == limit


def test_stop_strings_and_calls_are_looked_for_in_the_answer_alone(ask):
    form = format_of(None)
    call = form.write([{"name": "look", "arguments": {}}])
    text = f"<think>Stop! {call}</think>{call}"
    *pieces, end = ask(text, stops=["Stop!"], reader=CallReader(form, {"look"}))[1]
    assert "".join(one.thinking for one in pieces if isinstance(one, Thinking)) == f"Stop! {call}"
    assert [one.name for one in pieces if isinstance(one, ToolCall)] == ["look"]
    assert end.reason == "tool_calls"
    reply = collect(ask("<think>Stop!</think>so Stop! more", stops=["Stop!"])[1])
    assert (reply.thinking, reply.text) == ("Stop!", "so ")


def test_marks_that_are_special_tokens_are_seen(byte_level):
    marks = marks_of_template(templates.MAGISTRAL)
    plan = ThinkingPlan(marks.__class__(**{**vars(marks), "begin": ("<s>",), "end": ("</s>",)}))
    tokens = [401 - 1, *byte_level.encode("why", add_special_tokens=False), 401]
    tokens += byte_level.encode("so", add_special_tokens=False)
    events = stream(
        FakeEngine(tokens),
        byte_level,
        PROMPT,
        Decoding(len(tokens)),
        context=99,
        thinking=plan,
    )
    reply = collect(events)
    assert (reply.thinking, reply.text) == ("why", "so")


@pytest.mark.parametrize("logprobs", [False, True])
def test_a_budget_forces_the_end_and_the_answer_goes_on_behind_it(ask, ids, logprobs):
    thought = ids("<think>Why oh why oh why")
    budget = len(thought) - 2
    engine, events = ask(
        "<think>Why oh why oh why", "\n\nBecause.", budget=budget, logprobs=logprobs
    )
    reply = collect(events)
    closing = ids(MARKS.closing)
    assert reply.text == "Because."
    assert reply.thinking
    assert "Why oh why oh why".startswith(reply.thinking)
    assert reply.usage.thinking_tokens == budget + len(closing)
    assert reply.tokens == (*thought[:budget], *closing, *ids("\n\nBecause."), END)
    assert reply.usage.completion_tokens == len(reply.tokens)
    assert len(reply.logprobs) == (len(reply.tokens) if logprobs else 0)
    first, second = engine.requests
    assert second.prompt == (*PROMPT, *thought[:budget], *closing)
    assert second.decoding.max_new_tokens == 500 - budget - len(closing)
    assert second.decoding.seed == first.decoding.seed == 7
    assert engine.generations[0].ended


def test_a_budget_that_suffices_changes_nothing(ask):
    engine, events = ask("<think>Why</think>so " + "on and on" * 20, budget=50)
    assert collect(events).text.startswith("so on")
    assert len(engine.requests) == 1


def test_a_limit_within_the_forced_end_is_the_end(ask, ids):
    thought = ids("<think>Why oh why")
    limit = len(thought) + 1
    engine, events = ask("<think>Why oh why oh why", budget=len(thought), limit=limit)
    reply = collect(events)
    assert (reply.text, reply.finish_reason) == ("", "length")
    assert reply.usage.thinking_tokens == reply.usage.completion_tokens == len(thought)
    assert len(engine.requests) == 1


def test_the_context_bounds_both_parts(ask, ids):
    thought = ids("<think>Why oh why")
    context = len(PROMPT) + len(thought) + len(ids(MARKS.closing)) + 4
    engine, events = ask(
        "<think>Why oh why oh why", "abcdefghijklmn", budget=len(thought), context=context
    )
    assert collect(events).finish_reason == "length"
    assert engine.requests[1].decoding.max_new_tokens == 4


def test_a_constraint_holds_from_where_thinking_ends(ask, ids):
    engine, events = ask("why\n</think>\n\nno JSON", '{"a": 1}', is_open=True, constraint=JSON)
    reply = collect(events)
    assert (reply.thinking, reply.text, reply.finish_reason) == ("why", '{"a": 1}', "stop")
    first, second = engine.requests
    assert (first.decoding.constraint, second.decoding.constraint) == (None, JSON)
    written = second.prompt[len(PROMPT) :]
    assert written[-len(ids("\n\n")) :] == tuple(ids("\n\n"))
    given = len(second.prompt) - len(PROMPT) - len(ids("\n\n"))
    assert reply.usage.thinking_tokens == given


def test_a_model_that_stops_in_its_thoughts_answers_a_constraint_all_the_same(ask):
    engine, events = ask("why", "{}", is_open=True, constraint=JSON)
    reply = collect(events)
    assert (reply.thinking, reply.text) == ("why", "{}")
    assert END not in engine.requests[1].prompt


def test_a_call_that_is_forced_begins_behind_thinking(ask, ids):
    engine, events = ask("why</think>", "{}", is_open=True, constraint=JSON, opening="<tool_call>")
    collect(events)
    assert engine.requests[1].prompt[-len(ids("<tool_call>")) :] == tuple(ids("<tool_call>"))


def test_a_constraint_without_open_thinking_holds_from_the_start(ask):
    engine, events = ask("{}", constraint=JSON)
    assert collect(events).text == "{}"
    assert engine.requests[0].decoding.constraint == JSON


def test_a_cancelled_answer_is_not_started_again(ask):
    engine, events = ask("<think>Why oh why oh why", "so", budget=3)
    next(events)
    events.cancel()
    assert collect(events).finish_reason == "cancelled"
    assert len(engine.requests) == 1


def test_what_is_thought_is_in_the_reply_as_json(ask):
    *_, end = ask("<think>w</think>s")[1]
    assert isinstance(end, Finished)
    reply = collect(ask("<think>w</think>s")[1]).as_dict()
    assert (reply["thinking"], reply["text"]) == ("w", "s")
    assert reply["usage"]["thinking_tokens"] > 0
