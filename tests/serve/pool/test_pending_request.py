from __future__ import annotations

import asyncio

import pytest

from aipc.errors import EngineError
from aipc.generate import Finished, Text, Timings, ToolCall, Usage
from aipc.serve.pool.pending_request import PendingRequest
from aipc.serve.requests import GenerationRequest, Waiting

END = Finished("stop", Usage(1, 2), Timings(0.1, 10.0, 0.3))


@pytest.fixture
def visit():
    return PendingRequest(GenerationRequest(prompt="hello"))


def told(visit):
    async def all_of_it():
        return [said async for said in visit]

    return asyncio.run(all_of_it())


def test_texts_that_came_together_are_given_as_one(visit):
    visit.say(Text("Hel", (1, 2)))
    visit.say(Text("lo", (3,)))
    visit.say(ToolCall("1", "look", "{}"))
    visit.say(Text("!", (4,)))
    visit.say(END)
    assert told(visit) == [
        Text("Hello", (1, 2, 3)),
        ToolCall("1", "look", "{}"),
        Text("!", (4,)),
        END,
    ]


def test_texts_with_logprobs_stay_apart(visit):
    pieces = [
        Text("Hel", (1, 2), (-0.1, -0.2), (b"He", b"l")),
        Text("lo", (3,), (-0.3,), (b"lo",)),
    ]
    for piece in pieces:
        visit.say(piece)
    visit.say(END)
    assert told(visit) == [*pieces, END]


def test_only_the_latest_place_in_the_line_is_told(visit):
    for position in (5, 4, 4, 3):
        visit.wait_at(position)
    asyncio.run(check_next(visit, Waiting(3)))
    visit.wait_at(3)
    visit.wait_at(2)
    visit.say(END)
    assert told(visit) == [END]


async def check_next(visit, expected):
    assert await anext(visit) == expected


def test_a_failure_comes_after_what_was_said_before_it(visit):
    visit.say(Text("a", (1,)))
    visit.fail(EngineError("broken"))
    visit.fail(EngineError("broken again"))
    heard = []

    async def listen():
        while True:
            heard.append(await anext(visit))

    with pytest.raises(EngineError, match=r"^broken$"):
        asyncio.run(listen())
    assert heard == [Text("a", (1,))]
    assert told(visit) == []


def test_after_its_end_it_can_not_fail(visit):
    visit.say(END)
    visit.fail(EngineError("too late"))
    assert told(visit) == [END]


def test_whoever_waits_is_woken(visit):
    async def go():
        waiting = asyncio.create_task(anext(visit))
        await asyncio.sleep(0)
        visit.say(Text("now", (1,)))
        return await waiting

    assert asyncio.run(go()) == Text("now", (1,))
