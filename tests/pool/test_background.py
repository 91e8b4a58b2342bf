"""Background requests over real workers: they wait for all others, and make way for them."""

from __future__ import annotations

import asyncio
import time

import pytest

from aipc.generate import Text
from aipc.pool import claim
from aipc.pool import pool as pool_module
from aipc.pool.failures import Draining, GaveWay
from aipc.pool.worker.messages import Waiting

GB = 1_000_000_000
LONG = "count 100000 every 0.01"


async def until(condition):
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.01)


def in_background(pool, request, model="fake"):
    return pool.answer(model, None, request, is_background=True)


async def text_of(answer):
    return "".join([one.text async for one in answer if isinstance(one, Text)])


async def begun(answer):
    """Once it has said something."""
    async for event in answer:
        if isinstance(event, Text):
            return answer
    raise AssertionError("no text")


def status(pool, model):
    return next(one for one in pool.statuses() if one.model == model)


@pytest.mark.parametrize("model", ["serial", "fake"])
def test_an_interactive_request_is_answered_at_once_where_a_batch_has_every_place(
    fake_pool, request_of, answer_of, run_async, model
):
    async def go():
        async with fake_pool(model, max_running=2) as pool:
            places = 1 if model == "serial" else 2
            answers = [in_background(pool, request_of(LONG), model) for _ in range(places)]
            for answer in answers:
                await begun(answer)
            assert (status(pool, model).running, status(pool, model).background) == (places, places)
            assert (await answer_of(pool, "hello", model))[0] == "hello "
            with pytest.raises(GaveWay, match="ask again"):
                await text_of(answers[-1])  # the youngest
            if places == 2:
                assert status(pool, model).background == 1
                await answers[0].aclose()

    run_async(go())


def test_few_run_beside_an_interactive_answer_the_oldest(
    fake_pool, request_of, answer_of, run_async, monkeypatch
):
    async def go():
        async with fake_pool(max_running=8, max_beside=1) as pool:
            answers = [in_background(pool, request_of(LONG)) for _ in range(3)]
            for answer in answers:
                await begun(answer)
            asked = await begun(pool.answer("fake", None, request_of(LONG)))
            for answer in answers[1:]:
                with pytest.raises(GaveWay):
                    await text_of(answer)
            later = asyncio.create_task(text_of(in_background(pool, request_of("later"))))
            await asyncio.sleep(0.05)
            assert (status(pool, "fake").running, status(pool, "fake").background) == (2, 1)
            await asked.aclose()
            await until(lambda: status(pool, "fake").running == 1)
            await asyncio.sleep(0.05)
            assert not later.done()  # who has asked may ask again
            (scheduler,) = pool._schedulers.values()
            scheduler.claim.release()  # as it is called after a while
            text = await later
            await answers[0].aclose()
            return text

    monkeypatch.setattr(claim, "_LINGER_S", 600.0)
    assert run_async(go()) == "later "


def test_few_run_beside_another_models_answers_on_the_same_device(
    fake_pool, request_of, answer_of, run_async, monkeypatch
):
    async def go():
        async with fake_pool("a", "b", max_running=8, max_beside=1) as pool:
            await pool.load("b")
            pool._schedulers["b", "auto"].claim.release()
            answers = [in_background(pool, request_of(LONG), "a") for _ in range(3)]
            for answer in answers:
                await begun(answer)
            assert (await answer_of(pool, "hello", "b"))[0] == "hello "
            for answer in answers[1:]:
                with pytest.raises(GaveWay):
                    await text_of(answer)
            later = asyncio.create_task(text_of(in_background(pool, request_of("later"), "a")))
            await asyncio.sleep(0.05)
            assert status(pool, "a").background == 1
            pool._schedulers["b", "auto"].claim.release()
            assert await later == "later "
            await answers[0].aclose()

    monkeypatch.setattr(claim, "_LINGER_S", 600.0)
    run_async(go())


def test_it_waits_behind_all_others_and_is_no_position_in_their_queue(
    fake_pool, request_of, answer_of, run_async
):
    ended = []

    async def noted(name, answer):
        await answer
        ended.append(name)

    async def go():
        async with fake_pool("slow-serial") as pool:
            batch = [in_background(pool, request_of("count 2"), "slow-serial") for _ in range(2)]
            first = [asyncio.create_task(noted("batch", text_of(one))) for one in batch]
            await until(pool.statuses)
            assert status(pool, "slow-serial").waiting == 0
            others = [answer_of(pool, "hello", "slow-serial") for _ in range(2)]
            waits = await asyncio.gather(*(noted("other", one) for one in others))
            await asyncio.gather(*first)
            return waits

    run_async(go())
    assert ended == ["other", "other", "batch", "batch"]


def test_neither_kind_fills_the_other_ones_queue(fake_pool, request_of, answer_of, run_async):
    async def go():
        async with fake_pool("serial", max_waiting=0) as pool:
            await pool.load("serial")
            running = await begun(in_background(pool, request_of(LONG), "serial"))
            more = [in_background(pool, request_of("later"), "serial") for _ in range(3)]
            later = [asyncio.create_task(text_of(one)) for one in more]
            await asyncio.sleep(0.05)
            text, _, waits = await answer_of(pool, "hello", "serial")
            assert (text, waits) == ("hello ", [1])
            with pytest.raises(GaveWay):
                await text_of(running)
            return await asyncio.gather(*later)

    assert run_async(go()) == ["later "] * 3


def test_an_answer_that_is_at_its_end_need_not_give_way(fake_pool, request_of, run_async):
    async def go():
        async with fake_pool() as pool:
            return await text_of(in_background(pool, request_of("whole")))

    assert run_async(go()) == "whole "


def test_a_batch_unloads_no_model_that_others_used_recently(
    fake_pool, request_of, answer_of, run_async, monkeypatch
):
    monkeypatch.setattr(pool_module, "_QUIET_S", 0.05)
    monkeypatch.setattr(pool_module, "_RECENT_S", 600.0)
    tries = []

    async def go():
        async with fake_pool(sizes={"a": GB, "b": GB}, memory_budget=1.5) as pool:
            await answer_of(pool, "hello", "a")
            make_room = pool._has_made_room

            async def noted(*arguments):
                tries.append(await make_room(*arguments))
                return tries[-1]

            monkeypatch.setattr(pool, "_has_made_room", noted)
            batch = asyncio.create_task(text_of(in_background(pool, request_of("done"), "b")))
            await until(lambda: len(tries) > 3 or any(tries))  # "a" is quiet long enough then
            assert not any(tries)
            assert status(pool, "a").state == "ready"
            assert status(pool, "b").pid is None
            monkeypatch.setattr(pool_module, "_RECENT_S", 0.0)
            text = await batch
            return text, status(pool, "a").state

    assert run_async(go()) == ("done ", "stopped")


def test_a_batch_that_was_given_up_waits_for_no_room(fake_pool, request_of, answer_of, run_async):
    async def go():
        async with fake_pool(sizes={"a": GB, "b": GB}, memory_budget=1.5) as pool:
            await answer_of(pool, "hello", "a")
            waiting = in_background(pool, request_of("never"), "b")
            reading = asyncio.create_task(text_of(waiting))
            await until(lambda: len(pool.statuses()) == 2)
            assert status(pool, "b").state == "loading"
            await waiting.aclose()
            reading.cancel()
            await until(lambda: status(pool, "b").state == "stopped")

    run_async(go())


def test_a_model_that_others_ask_for_takes_the_room_of_a_batch(
    fake_pool, request_of, answer_of, run_async
):
    async def go():
        async with fake_pool(sizes={"a": GB, "b": GB}, memory_budget=1.5) as pool:
            answer = await begun(in_background(pool, request_of(LONG), "a"))
            waiting = in_background(pool, request_of("done"), "b")  # it waits for room
            reading = asyncio.create_task(text_of(waiting))
            await until(lambda: len(pool.statuses()) == 2)
            assert (await answer_of(pool, "hello", "b"))[0] == "hello "
            with pytest.raises(GaveWay):
                await text_of(answer)
            return await reading, status(pool, "a").state

    assert run_async(go()) == ("done ", "stopped")


def test_closing_does_not_wait_for_it(fake_pool, request_of, run_async):
    async def go():
        async with fake_pool("serial") as pool:
            answer = await begun(in_background(pool, request_of(LONG), "serial"))
            waiting = in_background(pool, request_of("later"), "serial")
            reading = asyncio.create_task(text_of(waiting))
            await asyncio.sleep(0.05)
            closing = asyncio.create_task(pool.close(drain_s=600.0))
            with pytest.raises(GaveWay):
                await text_of(answer)
            with pytest.raises(Draining):
                await reading
            await asyncio.wait_for(closing, 10.0)

    run_async(go())


def test_positions_are_of_those_that_are_answered_in_turn(fake_pool, request_of, run_async):
    async def go():
        async with fake_pool("serial") as pool:
            running = pool.answer("serial", None, request_of(LONG))
            await begun(running)
            batch = in_background(pool, request_of("later"), "serial")
            reading = asyncio.create_task(text_of(batch))
            await asyncio.sleep(0.05)
            next_one = pool.answer("serial", None, request_of("next"))
            position = await anext(next_one)
            await next_one.aclose()
            await running.aclose()
            return position, await reading

    assert run_async(go()) == (Waiting(1), "later ")
