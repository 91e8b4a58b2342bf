"""The pool over real worker processes with a fake session."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import time
from contextlib import suppress

import pytest

from aipc.errors import DeviceError, EngineBroken, EngineError, UsageError
from aipc.generate import Finished, ToolCall
from aipc.generate.request import GenerationRequest
from aipc.pool.failures import (
    Draining,
    ModelTooLarge,
    ModelUnknown,
    NoProgress,
    ServerBusy,
    WorkerDied,
)
from aipc.pool.worker.messages import Waiting

GB = 1_000_000_000


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition, limit_s=10.0):
    """Wait for what other tasks and processes bring about."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.01)


async def first_event(answer):
    async for event in answer:
        if not isinstance(event, Waiting):
            return event
    raise AssertionError("no event")


async def events_of(pool, request, device="cpu", model="fake"):
    return [event async for event in pool.answer(model, device, request)]


def only(pool):
    (status,) = pool.statuses()
    return status


def test_an_answer_comes_whole_and_in_order(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool() as pool:
            return await answer_of(pool, "count 200")

    text, end, waits = run_async(go())
    assert text == "".join(f"{n} " for n in range(200))
    assert isinstance(end, Finished)
    assert end.usage.completion_tokens == 200
    assert waits == [1]


def test_many_answers_at_once_are_never_mixed(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool() as pool:
            texts = [" ".join(f"{n}-{word}" for word in range(50)) for n in range(40)]
            answers = await asyncio.gather(*(answer_of(pool, text) for text in texts))
            return texts, answers, only(pool)

    texts, answers, status = run_async(go())
    assert [text.strip() for text, _, _ in answers] == texts
    assert (status.state, status.answers, status.tokens) == ("ready", 40, 2000)
    assert status.restarts == status.running == status.waiting == 0


def test_a_request_reaches_the_session(fake_pool, run_async):
    tools = [{"type": "function", "function": {"name": "look"}}]

    async def go():
        async with fake_pool() as pool:
            call = GenerationRequest(messages=[{"role": "user", "content": "call"}], tools=tools)
            short = GenerationRequest(
                messages=[{"content": "count 9"}], sampling={"max_new_tokens": 2}
            )
            scored = GenerationRequest(messages=[{"content": "a b"}], logprobs=True)
            return [await events_of(pool, one) for one in (call, short, scored)]

    call, short, scored = run_async(go())
    assert ToolCall("call_1", "look", "{}") in call
    assert short[-1].reason == "length"
    assert [value for one in scored[:-1] for value in getattr(one, "logprobs", ())] == [-0.5, -0.5]


def test_adapters_of_a_model_share_its_worker(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool("fake", "fake:poet", "fake:half") as pool:
            names = ("fake", "fake:poet", "fake", "fake:half", "fake:poet")
            told = [(await answer_of(pool, "adapter", model=name))[0] for name in names]
            with pytest.raises(ModelUnknown, match="there is no model 'fake:other' here"):
                await answer_of(pool, "adapter", model="fake:other")
            loaded = await pool.load("fake:half")
            status = only(pool)
            await pool.unload("fake:poet")
            return told, status, loaded, only(pool)

    told, status, loaded, after = run_async(go())
    assert told == ["[] ", "[poet] ", "[] ", "[half] ", "[poet] "]
    assert (status.model, loaded.model) == ("fake", "fake")
    assert after.state == "stopped"


@pytest.mark.parametrize(
    ("text", "kind", "what"),
    [("refuse", UsageError, "the fake refuses"), ("fail", EngineError, "the fake failed")],
)
def test_an_error_keeps_its_kind_and_words(fake_pool, answer_of, run_async, text, kind, what):
    async def go():
        async with fake_pool() as pool:
            with pytest.raises(kind, match=what) as caught:
                await answer_of(pool, text)
            assert (await answer_of(pool, "still here"))[0] == "still here "
            return caught.value

    error = run_async(go())
    assert error.fix in {"ask again", "ask it otherwise"}
    if kind is EngineError:
        assert "vendor's own words" in str(error.__cause__)


@pytest.mark.parametrize("text", ["count 1000 every 0.01", "count 1000 every 60"])
def test_closing_the_answer_cancels_it_even_before_its_first_token(
    fake_pool, request_of, run_async, text
):
    async def go():
        async with fake_pool("serial") as pool:
            await pool.load("serial")
            answer = pool.answer("serial", None, request_of(text))
            reading = asyncio.create_task(first_event(answer))
            await until(lambda: only(pool).running == 1)
            await asyncio.sleep(0.05)
            started = time.monotonic()
            if text.endswith("60"):
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading
            else:
                await reading
                await answer.aclose()
            await until(lambda: only(pool).running == 0)
            return time.monotonic() - started

    assert run_async(go()) < 1.0


def test_leaving_the_queue_moves_the_others_up(fake_pool, request_of, answer_of, run_async):
    async def go():
        async with fake_pool("serial") as pool:
            first = pool.answer("serial", None, request_of("count 1000 every 0.01"))
            await first_event(first)
            second = pool.answer("serial", None, request_of("never answered"))
            assert await anext(second) == Waiting(1)
            third = asyncio.create_task(answer_of(pool, "third", "serial"))
            await until(lambda: only(pool).waiting == 2)
            await asyncio.sleep(0.01)
            await second.aclose()
            await until(lambda: only(pool).waiting == 1)
            await asyncio.sleep(0.01)
            await first.aclose()
            return await third

    text, _, waits = run_async(go())
    assert text == "third "
    assert waits == [2, 1]


def test_turns_go_round_among_clients(fake_pool, answer_of, run_async):
    ended = []

    async def one(pool, client, number):
        await answer_of(pool, "count 2", "slow-serial", client=client)
        ended.append((client, number))

    async def go():
        async with fake_pool("slow-serial", max_running=1) as pool:
            requests = [("greedy", n) for n in range(4)] + [("modest", 0), ("modest", 1)]
            await asyncio.gather(*(one(pool, *request) for request in requests))

    run_async(go())
    assert ended == [
        ("greedy", 0),
        ("modest", 0),
        ("greedy", 1),
        ("modest", 1),
        ("greedy", 2),
        ("greedy", 3),
    ]


def test_a_full_queue_gives_the_time_to_come_back(fake_pool, request_of, run_async):
    async def go():
        async with fake_pool("serial", max_waiting=1) as pool:
            await pool.load("serial")
            running = pool.answer("serial", None, request_of("count 1000 every 0.01"))
            await first_event(running)
            waiting = pool.answer("serial", None, request_of("later"))
            await anext(waiting)
            with pytest.raises(ServerBusy, match="1 requests wait") as caught:
                await anext(pool.answer("serial", None, request_of("too many")))
            await waiting.aclose()
            await running.aclose()
            return caught.value

    assert run_async(go()).retry_after_s >= 1


def test_a_free_model_answers_where_none_may_wait(fake_pool, answer_of, request_of, run_async):
    async def go():
        async with fake_pool("serial", max_waiting=0) as pool:
            await pool.load("serial")
            assert (await answer_of(pool, "a", "serial"))[0] == "a "
            running = pool.answer("serial", None, request_of("count 1000 every 0.01"))
            await first_event(running)
            with pytest.raises(ServerBusy):
                await answer_of(pool, "b", "serial")
            await running.aclose()

    run_async(go())


def test_counting_takes_no_turn_and_is_no_answer(fake_pool, answer_of, request_of, run_async):
    async def go():
        async with fake_pool("serial", max_waiting=0) as pool:
            await pool.load("serial")
            running = pool.answer("serial", None, request_of("count 1000 every 0.01"))
            await first_event(running)
            counted = await answer_of(pool, "three words here", "serial", count_only=True)
            await running.aclose()
            return counted

    text, end, waits = run_async(go())
    assert (text, waits) == ("", [])
    assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (3, 0)


def test_a_count_loads_the_model(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool() as pool:
            return await answer_of(pool, "two words", count_only=True)

    assert run_async(go())[1].usage.prompt_tokens == 2


def test_a_worker_whose_engine_can_not_go_on_is_replaced(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool() as pool:
            slow = asyncio.ensure_future(answer_of(pool, "count 1000 every 0.05"))
            with pytest.raises(EngineBroken):
                await answer_of(pool, "break")
            with pytest.raises(WorkerDied, match="engine of 'fake' could not go on"):
                await slow
            assert (await answer_of(pool, "hello"))[0] == "hello "
            assert pool.statuses()[0].restarts == 1

    run_async(go())


def test_an_error_that_spoils_every_later_answer_is_found_within_that_one(
    fake_pool, answer_of, run_async
):
    async def go():
        async with fake_pool("other", "fake") as pool:
            beside = asyncio.ensure_future(answer_of(pool, "count 10 every 0.05", "other"))
            with pytest.raises(EngineBroken, match="the fake failed"):
                await answer_of(pool, "poison")
            assert (await answer_of(pool, "hello"))[0] == "hello "
            assert (await beside)[1].reason == "stop"
            return {one.model: one.restarts for one in pool.statuses()}

    assert run_async(go()) == {"other": 0, "fake": 1}


def test_an_error_of_one_answer_alone_costs_no_worker(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool() as pool:
            with pytest.raises(EngineError, match="the fake failed"):
                await answer_of(pool, "fail")
            assert (await answer_of(pool, "hello"))[0] == "hello "
            return only(pool).restarts

    assert run_async(go()) == 0


def test_a_death_fails_its_answers_and_the_next_request_gets_a_new_worker(
    fake_pool, request_of, answer_of, run_async
):
    async def go():
        async with fake_pool() as pool:
            answers = [
                pool.answer("fake", None, request_of("count 1000 every 0.01")) for _ in range(5)
            ]
            await asyncio.gather(*map(first_event, answers))
            before = only(pool).pid
            os.kill(before, signal.SIGKILL)
            for answer in answers:
                with pytest.raises(WorkerDied, match="ended by SIGKILL"):
                    async for _ in answer:
                        pass
            text, *_ = await answer_of(pool, "here again")
            return text, before, only(pool)

    text, before, status = run_async(go())
    assert text == "here again "
    assert status.restarts == 1
    assert status.pid != before
    assert not is_alive(before)


def test_waiting_requests_outlive_a_death(fake_pool, request_of, answer_of, run_async):
    async def go():
        async with fake_pool("serial") as pool:
            dying = pool.answer("serial", None, request_of("count 1000 every 0.01"))
            await first_event(dying)
            waiting = asyncio.create_task(answer_of(pool, "patient", "serial"))
            await until(lambda: only(pool).waiting == 1)
            os.kill(only(pool).pid, signal.SIGKILL)
            return (await waiting)[0]

    assert run_async(go()) == "patient "


def test_a_model_that_keeps_dying_gets_a_pause(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool() as pool:
            for _ in range(3):
                with pytest.raises(WorkerDied, match="SIGKILL"):
                    await answer_of(pool, "die")
            with pytest.raises(WorkerDied, match="tried again in") as caught:
                await answer_of(pool, "hello")
            return caught.value, only(pool)

    error, status = run_async(go())
    assert 1 <= error.retry_after_s <= 5
    assert status.state == "failed"
    assert "SIGKILL" in status.error.what


def test_deaths_after_answers_never_make_a_pause(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool() as pool:
            for _ in range(4):
                with pytest.raises(WorkerDied):
                    await answer_of(pool, "die after 2")
            return (await answer_of(pool, "hello"))[0]

    assert run_async(go()) == "hello "


@pytest.mark.parametrize(
    ("model", "kind", "limit_s"),
    [("broken", DeviceError, 60.0), ("crash", WorkerDied, 60.0), ("endless", WorkerDied, 1.5)],
)
def test_a_load_that_fails_fails_all_waiting_requests(
    fake_pool, answer_of, run_async, model, kind, limit_s
):
    async def go():
        async with fake_pool(model, load_timeout_s=limit_s) as pool:
            answers = (answer_of(pool, "hello", model) for _ in range(3))
            errors = await asyncio.gather(*answers, return_exceptions=True)
            return errors, only(pool)

    errors, status = run_async(go())
    assert [type(error) for error in errors] == [kind] * 3
    assert (status.state, status.memory_bytes) == ("failed", None)
    assert type(status.error) is kind


def test_requests_share_one_load(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool("slow") as pool:
            await asyncio.gather(*(answer_of(pool, f"request {n}", "slow") for n in range(6)))
            return only(pool)

    status = run_async(go())
    assert status.restarts == 0
    assert status.answers == 6
    assert status.notices == ("loading slow",)
    assert status.ready.context == 4096


def test_a_model_is_loaded_though_its_only_client_left(fake_pool, request_of, run_async):
    async def go():
        async with fake_pool("slow") as pool:
            answer = pool.answer("slow", None, request_of("hello"))
            assert await anext(answer) == Waiting(1)
            assert only(pool).state == "loading"
            await answer.aclose()
            await until(lambda: only(pool).state == "ready")
            return only(pool)

    assert run_async(go()).answers == 0


@pytest.mark.parametrize("text", ["panic", "panic now", "end"])
def test_an_answer_that_ends_in_no_known_way_is_ended_all_the_same(
    fake_pool, answer_of, run_async, text
):
    async def go():
        async with fake_pool("serial", max_running=1) as pool:
            for _ in range(3):
                with pytest.raises(EngineError, match=r"index out of bounds|broke off"):
                    await asyncio.wait_for(answer_of(pool, text, "serial"), 10)
            text_after = (await answer_of(pool, "hello", "serial"))[0]
            return text_after, only(pool)

    after, status = run_async(go())
    assert (after, status.restarts, status.running) == ("hello ", 0, 0)


def test_an_answer_without_a_token_for_too_long_is_ended_alone(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool(stuck_s=1.0) as pool:
            beside = asyncio.create_task(answer_of(pool, "count 20 every 0.1"))
            await until(lambda: pool.statuses() and only(pool).running == 1)
            later = asyncio.create_task(starting_later(pool))
            with pytest.raises(NoProgress, match="no token in 1 s"):
                await answer_of(pool, "stall")
            await until(lambda: only(pool).running < 3)
            return (await beside)[1].reason, await later, only(pool)

    async def starting_later(pool):
        await asyncio.sleep(0.3)
        return (await answer_of(pool, "count 20 every 0.1"))[1].reason

    beside, later, status = run_async(go())
    assert (beside, later, status.restarts) == ("stop", "stop", 0)


def test_a_worker_that_is_deaf_is_ended(fake_pool, answer_of, run_async, monkeypatch):
    monkeypatch.setattr("aipc.pool.watchdog.DEAF_S", 1.0)

    async def go():
        async with fake_pool("serial", stuck_s=1.0) as pool:
            with pytest.raises(NoProgress, match="no token in 1 s"):
                await answer_of(pool, "hang", "serial")
            return (await answer_of(pool, "hello", "serial"))[0], only(pool)

    text, status = run_async(go())
    assert (text, status.restarts) == ("hello ", 1)


def test_the_least_recently_used_gives_way(fake_pool, answer_of, run_async):
    names = ("a", "b", "c")

    async def go():
        async with fake_pool(sizes=dict.fromkeys(names, GB), memory_budget=2.5) as pool:
            for name in ("a", "b", "a", "c"):  # the third is one too many
                await answer_of(pool, "hello", name)
            return {status.model: status.state for status in pool.statuses()}

    assert run_async(go()) == {"a": "ready", "b": "stopped", "c": "ready"}


def test_a_busy_model_is_not_unloaded_before_it_is_done(fake_pool, answer_of, run_async):
    async def go():
        sizes = {"a": GB, "b": GB}
        async with fake_pool(sizes=sizes, memory_budget=1.5) as pool:
            long = asyncio.create_task(answer_of(pool, "count 50 every 0.01", "a"))
            await until(lambda: pool.statuses() and only(pool).running == 1)
            text, *_ = await answer_of(pool, "hello", "b")
            again, *_ = await answer_of(pool, "again", "a")
            return (await long)[0], text, again

    long, text, again = run_async(go())
    assert long.split()[-1] == "49"
    assert (text, again) == ("hello ", "again ")


def test_a_model_beyond_the_budget_is_refused(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool(sizes={"big": 2 * GB}, memory_budget=1.0) as pool:
            with pytest.raises(ModelTooLarge, match=r"2\.4 GB of memory.*--memory-budget"):
                await answer_of(pool, "hello", "big")

    run_async(go())


@pytest.mark.parametrize("name", ["other", "/etc", "../fake", "org/name", "https://x.example/m"])
def test_only_known_names_are_models(fake_pool, answer_of, run_async, name):
    async def go():
        async with fake_pool() as pool:
            with pytest.raises(ModelUnknown):
                await answer_of(pool, "hello", name)
            return pool.statuses()

    assert run_async(go()) == ()


def test_a_device_is_a_worker_of_its_own_unless_it_is_the_same(
    fake_pool, request_of, answer_of, run_async
):
    async def go():
        async with fake_pool() as pool:
            await answer_of(pool, "hello")
            for device in ("cpu", "CPU", "gpu.1", "auto"):
                await events_of(pool, request_of("hello"), device)
            with pytest.raises(UsageError, match="unknown device 'abacus'"):
                await anext(pool.answer("fake", "abacus", request_of("hello")))
            return [(status.device, status.answers) for status in pool.statuses()]

    assert run_async(go()) == [("auto", 4), ("gpu.1", 1)]


def test_devices_that_are_not_here_leave_no_trace(fake_pool, request_of, run_async):
    async def go():
        async with fake_pool() as pool:
            for device in ("npu", "gpu.0", "gpu.2", "cpu.1"):
                with pytest.raises((DeviceError, UsageError)):
                    await events_of(pool, request_of("hello"), device)
            return pool.statuses()

    assert run_async(go()) == ()


def test_a_device_with_two_names_is_one_worker(fake_pool, request_of, run_async):
    async def go():
        async with fake_pool() as pool:
            for device in ("gpu", "gpu.1", "gpu"):
                await events_of(pool, request_of("hello"), device)
            return [(status.device, status.answers) for status in pool.statuses()]

    assert run_async(go()) == [("gpu.1", 3)]


def test_a_process_that_can_not_be_started_is_an_error(
    fake_pool, answer_of, run_async, monkeypatch
):
    monkeypatch.setattr("aipc.pool.worker_process._COMMAND", ("/nowhere/python",))

    async def go():
        async with fake_pool() as pool:
            with pytest.raises(WorkerDied, match="no worker can be started"):
                await answer_of(pool, "hello")

    run_async(go())


def test_loading_raises_its_failure_and_the_end(fake_pool, run_async):
    async def go():
        async with fake_pool("broken", "endless") as pool:
            with pytest.raises(DeviceError):
                await pool.load("broken")
            loading = asyncio.create_task(pool.load("endless"))
            await until(lambda: "loading" in pool.statuses()[-1].doing)
            await pool.close()
            with pytest.raises(Draining):
                await loading

    run_async(go())


def test_an_unused_model_is_unloaded(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool(idle_s=0.2) as pool:
            await answer_of(pool, "count 4 every 0.1")
            assert only(pool).state == "ready"
            await until(lambda: only(pool).state == "stopped")
            return (await answer_of(pool, "hello"))[0]

    assert run_async(go()) == "hello "


def test_a_request_says_how_long_its_model_stays(fake_pool, request_of, run_async):
    async def answer(pool, keep_s):
        return [one async for one in pool.answer("fake", None, request_of("hello"), keep_s)]

    async def go():
        async with fake_pool(idle_s=500.0) as pool:
            await answer(pool, None)
            assert 400 < only(pool).idle_left_s <= 500
            await answer(pool, 50.0)
            assert only(pool).idle_left_s <= 50
            await answer(pool, None)
            assert only(pool).idle_left_s <= 50
            await answer(pool, math.inf)
            assert only(pool).idle_left_s is None
            await answer(pool, 0.0)
            await until(lambda: only(pool).state == "stopped")
            assert only(pool).idle_left_s == 500
            await pool.load("fake", None, 50.0)
            assert only(pool).idle_left_s <= 50

    run_async(go())


def test_a_model_is_unloaded_once_its_answers_have_ended(fake_pool, answer_of, run_async):
    async def go():
        async with fake_pool() as pool:
            running = asyncio.create_task(answer_of(pool, "count 20 every 0.02"))
            await until(lambda: pool.statuses() and only(pool).running == 1)
            await pool.unload("fake:latest")
            assert only(pool).state == "stopped"
            assert (await running)[0] == "".join(f"{n} " for n in range(20))
            with pytest.raises(ModelUnknown):
                await pool.unload("none")

    run_async(go())


def test_draining_ends_what_runs_and_refuses_the_rest(fake_pool, request_of, answer_of, run_async):
    async def go():
        async with fake_pool("serial") as pool:
            running = asyncio.create_task(answer_of(pool, "count 20 every 0.02", "serial"))
            await until(lambda: pool.statuses() and only(pool).running == 1)
            waiting = asyncio.create_task(answer_of(pool, "waiting", "serial"))
            await until(lambda: only(pool).waiting == 1)
            pid = only(pool).pid
            closing = asyncio.create_task(pool.close(drain_s=10))
            await asyncio.sleep(0)
            with pytest.raises(Draining):
                await answer_of(pool, "late", "serial")
            with pytest.raises(Draining):
                await waiting
            text, *_ = await running
            await closing
            return text, pid

    text, pid = run_async(go())
    assert text.split()[-1] == "19"
    assert not is_alive(pid)


@pytest.mark.parametrize("text", ["count 1000 every 0.01", "hang"])
def test_draining_has_an_end(fake_pool, request_of, answer_of, run_async, text):
    async def go():
        async with fake_pool() as pool:
            running = asyncio.create_task(answer_of(pool, text))
            await until(lambda: pool.statuses() and only(pool).running == 1)
            pid = only(pool).pid
            await pool.close(drain_s=0.1)
            assert not is_alive(pid)
            return await asyncio.gather(running, return_exceptions=True)

    (result,) = run_async(go())
    if text == "hang":
        assert isinstance(result, WorkerDied)
    else:
        assert result[1].reason == "cancelled"


def test_draining_does_not_wait_for_a_load(fake_pool, request_of, run_async):
    async def go():
        async with fake_pool("endless") as pool:
            answer = pool.answer("endless", None, request_of("hello"))
            await anext(answer)
            await until(lambda: only(pool).pid is not None)
            pid = only(pool).pid
            await pool.close(drain_s=60)
            with pytest.raises(Draining):
                await anext(answer)
            return pid

    assert not is_alive(run_async(go()))


def test_200_disconnects_leak_nothing(fake_pool, request_of, answer_of, run_async):
    async def leave(pool, number):
        answer = pool.answer("fake", None, request_of("count 100000 every 0.001", str(number % 7)))
        if number % 2:
            await first_event(answer)
            await answer.aclose()
            return
        reading = asyncio.create_task(first_event(answer))
        await asyncio.sleep(0.002 * (number % 5))
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    async def go():
        async with fake_pool(max_running=16, max_waiting=200) as pool:
            await pool.load("fake")
            await asyncio.gather(*(leave(pool, number) for number in range(200)))
            await until(lambda: only(pool).running == 0, limit_s=2.0)
            assert only(pool).waiting == 0
            return (await answer_of(pool, "still here"))[0], only(pool).restarts

    assert run_async(go()) == ("still here ", 0)


def test_a_token_is_here_within_two_milliseconds(fake_pool, request_of, run_async):
    async def delays(pool):
        found = []
        async for event in pool.answer("fake", None, request_of("clock 100 every 0.005")):
            now = time.perf_counter()
            found += [now - float(word) for word in getattr(event, "text", "").split()]
        return found

    async def go():
        async with fake_pool() as pool:
            await pool.load("fake")
            return await asyncio.gather(*(delays(pool) for _ in range(8)))

    found = sorted(delay for one in run_async(go()) for delay in one)
    assert len(found) == 800
    assert found[400] < 0.002


@pytest.mark.long
def test_20_deaths_under_load_are_errors_and_nothing_worse(fake_pool, answer_of, run_async):
    """Every request ends with its own whole answer or with `WorkerDied`; the last is answered."""
    killed = []

    async def client(pool, number):
        outcomes = []
        while len(killed) < 20:
            text = f"{number} " * 20
            try:
                outcomes.append((await answer_of(pool, text))[0] == text)
            except WorkerDied as death:
                outcomes.append(None)
                await asyncio.sleep(min(death.retry_after_s, 0.05))
        return outcomes

    async def go():
        async with fake_pool() as pool:
            clients = [asyncio.create_task(client(pool, number)) for number in range(8)]
            while len(killed) < 20:
                await until(lambda: pool.statuses() and only(pool).state == "ready")
                await asyncio.sleep(0.1)
                killed.append(only(pool).pid)
                os.kill(killed[-1], signal.SIGKILL)
                await until(lambda: only(pool).pid != killed[-1])
            outcomes = [outcome for one in await asyncio.gather(*clients) for outcome in one]
            return outcomes, (await answer_of(pool, "here"))[0], only(pool)

    outcomes, text, status = run_async(go(), limit_s=120)
    assert outcomes.count(True) > 100
    assert outcomes.count(None) >= 20
    assert False not in outcomes
    assert (text, status.running) == ("here ", 0)
    assert len(set(killed)) == 20
    assert not any(map(is_alive, killed))
