"""Blocks of lines that an actor is sent, some of them twice."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from aipc.batch.answers import new_answer
from aipc.batch.input.lines import Line
from aipc.batch.ray.incoming import IncomingWork
from aipc.errors import BatchError


def block(*numbers):
    return [Line(n, f"id-{n}", "/v1/completions", "m", b"{}") for n in numbers]


class Asking:
    """Answers once ``ready`` is set."""

    def __init__(self):
        self.asked = Counter()
        self.ready = asyncio.Event()

    async def __call__(self, line):
        self.asked[line.custom_id] += 1
        await self.ready.wait()
        if line.number == 0:
            raise BatchError("line 0 has changed", "leave it")
        return new_answer(line.custom_id, {}, "req_1")


async def begun(work, ask, *blocks):
    waiting = [asyncio.ensure_future(work.answered(one, ask)) for one in blocks]
    await asyncio.sleep(0.01)
    return waiting


async def of_blocks(*blocks, in_flight=4):
    ask = Asking()
    waiting = await begun(IncomingWork(in_flight), ask, *blocks)
    ask.ready.set()
    return await asyncio.gather(*waiting, return_exceptions=True), ask.asked


def ids(answers):
    return [one.custom_id for one in answers]


def test_blocks_are_answered_together_each_in_its_order():
    found, asked = asyncio.run(of_blocks(block(1, 2, 3), block(9, 8)))
    assert [ids(one) for one in found] == [["id-1", "id-2", "id-3"], ["id-9", "id-8"]]
    assert set(asked.values()) == {1}


def test_a_block_that_comes_again_while_it_is_under_way_is_asked_once_and_answered_twice():
    found, asked = asyncio.run(of_blocks(block(1, 2, 3), block(1, 2, 3), block(3, 4)))
    assert [ids(one) for one in found] == [["id-1", "id-2", "id-3"]] * 2 + [["id-3", "id-4"]]
    assert set(asked.values()) == {1}


def test_a_block_that_is_given_up_takes_no_other_along():
    async def given_up():
        ask, work = Asking(), IncomingWork(4)
        first, second = await begun(work, ask, block(1, 2), block(2, 3))
        first.cancel()
        ask.ready.set()
        return await second, await work.answered(block(2), ask), ask.asked

    second, again, asked = asyncio.run(given_up())
    assert (ids(second), ids(again)) == (["id-2", "id-3"], ["id-2"])
    assert asked == {"id-1": 1, "id-2": 2, "id-3": 1}


def test_an_error_ends_every_block_and_later_ones_are_answered():
    async def failed():
        ask, work = Asking(), IncomingWork(1)
        waiting = await begun(work, ask, block(0, 1), block(2))
        ask.ready.set()
        errors = await asyncio.gather(*waiting, return_exceptions=True)
        return errors, await work.answered(block(2), ask)

    errors, later = asyncio.run(failed())
    for one in errors:
        with pytest.raises(BatchError, match="line 0 has changed"):
            raise one
    assert ids(later) == ["id-2"]
