from __future__ import annotations

import asyncio

import pytest

from aipc.errors import DeviceError, EngineError
from aipc.generate import Finished, Text, Timings, ToolCall, Usage
from aipc.generate.request import GenerationRequest
from aipc.pool.failures import GaveWay, WorkerDied
from aipc.pool.fair_queue import FAILURES, Backoff, FairQueue, PendingRequest
from aipc.pool.worker.messages import Waiting

END = Finished("stop", Usage(1, 2), Timings(0.1, 10.0, 0.3))


@pytest.fixture
def pending():
    return PendingRequest(GenerationRequest(prompt="hello"))


def events_of(pending):
    async def read():
        return [event async for event in pending]

    return asyncio.run(read())


def test_texts_that_came_together_are_given_as_one(pending):
    pending.put(Text("Hel", (1, 2)))
    pending.put(Text("lo", (3,)))
    pending.put(ToolCall("1", "look", "{}"))
    pending.put(Text("!", (4,)))
    pending.put(END)
    assert events_of(pending) == [
        Text("Hello", (1, 2, 3)),
        ToolCall("1", "look", "{}"),
        Text("!", (4,)),
        END,
    ]


def test_texts_with_logprobs_stay_apart(pending):
    pieces = [
        Text("Hel", (1, 2), (-0.1, -0.2), (b"He", b"l")),
        Text("lo", (3,), (-0.3,), (b"lo",)),
    ]
    for piece in pieces:
        pending.put(piece)
    pending.put(END)
    assert events_of(pending) == [*pieces, END]


def test_only_the_latest_position_in_the_queue_is_given(pending):
    for position in (5, 4, 4, 3):
        pending.put_position(position)
    asyncio.run(check_next(pending, Waiting(3)))
    pending.put_position(3)
    pending.put_position(2)
    pending.put(END)
    assert events_of(pending) == [END]


async def check_next(pending, expected):
    assert await anext(pending) == expected


def test_a_failure_comes_after_the_events_before_it(pending):
    pending.put(Text("a", (1,)))
    pending.fail(EngineError("broken"))
    pending.fail(EngineError("broken again"))
    events = []

    async def read():
        while True:
            events.append(await anext(pending))

    with pytest.raises(EngineError, match=r"^broken$"):
        asyncio.run(read())
    assert events == [Text("a", (1,))]
    assert events_of(pending) == []


def test_after_its_end_it_can_not_fail(pending):
    pending.put(END)
    pending.fail(EngineError("too late"))
    assert events_of(pending) == [END]


def test_a_reader_that_waits_is_woken(pending):
    async def go():
        waiting = asyncio.create_task(anext(pending))
        await asyncio.sleep(0)
        pending.put(Text("now", (1,)))
        return await waiting

    assert asyncio.run(go()) == Text("now", (1,))


@pytest.mark.parametrize("how", ["closed", "cancelled", "failed", "read to its end"])
def test_it_is_queued_by_the_first_step_and_leaves_once(how):
    steps = []

    async def enqueue(pending):
        steps.append("queued")
        pending.on_close = lambda _: steps.append("left")
        if how == "failed":
            raise EngineError("full")
        pending.put(END)

    async def go():
        pending = PendingRequest(GenerationRequest(prompt="hello"), enqueue)
        assert steps == []
        if how == "failed":
            with pytest.raises(EngineError, match="full"):
                await anext(pending)
        else:
            assert await anext(pending) == END
        pending.finished = how == "read to its end"
        if how == "cancelled":
            waiting = asyncio.create_task(anext(pending))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        if how == "closed":
            await pending.aclose()
        pending.put(END)
        assert [event async for event in pending] == ([END] if how == "read to its end" else [])
        await pending.aclose()

    asyncio.run(go())
    assert steps == ["queued", "left"]


@pytest.fixture
def queue():
    return FairQueue()


@pytest.fixture
def add(queue):
    def added(client):
        pending = PendingRequest(GenerationRequest(prompt="hello", client=client))
        queue.add(pending)
        return pending

    return added


def test_one_client_is_served_in_order(queue, add):
    requests = [add("a") for _ in range(3)]
    assert list(queue) == requests
    assert [queue.pop() for _ in range(3)] == requests
    assert len(queue) == 0


def test_turns_go_round_and_the_order_is_foretold(queue, add):
    first, second, third = add("a"), add("a"), add("a")
    other, late = add("b"), add("c")
    foretold = [first, other, late, second, third]
    assert list(queue) == foretold
    assert [queue.pop() for _ in range(5)] == foretold


def test_a_client_that_was_served_comes_after_those_that_were_not(queue, add):
    add("a"), add("a"), add("b")
    queue.pop()
    again = add("a")
    assert next(iter(queue)).request.client == "b"
    assert list(queue)[-1] is again


def test_leaving_closes_the_gap(queue, add):
    first, second, other = add("a"), add("a"), add("b")
    assert queue.remove(first)
    assert list(queue) == [second, other]
    assert not queue.remove(first)
    assert queue.remove(second)
    assert queue.remove(other)
    assert not queue.remove(other)
    assert len(queue) == 0


@pytest.fixture
def add_background(queue):
    def added():
        request = GenerationRequest(prompt="hello", client="a")
        pending = PendingRequest(request, is_background=True)
        queue.add(pending)
        return pending

    return added


def test_what_is_in_the_background_comes_last_and_is_not_counted(queue, add, add_background):
    assert queue.is_empty
    early, late = add_background(), add_background()
    assert not queue.is_empty
    first, other = add("a"), add("b")
    assert list(queue) == [first, other]
    assert len(queue) == 2
    assert [queue.pop() for _ in range(4)] == [first, other, early, late]
    assert queue.is_empty


def test_what_is_in_the_background_may_leave(queue, add_background):
    first, second = add_background(), add_background()
    assert queue.remove(first)
    assert not queue.remove(first)
    assert queue.pop() is second


def test_an_answer_that_gave_way_fails_and_one_that_was_whole_does_not():
    cancelled = Finished("cancelled", Usage(1, 2), Timings(0.1, 10.0, 0.3))
    for end in (cancelled, END):
        pending = PendingRequest(GenerationRequest(prompt="hello"), is_background=True)
        pending.gives_way = True
        pending.put(end)
        if end is END:
            assert events_of(pending) == [END]
        else:
            with pytest.raises(GaveWay, match="ask again"):
                events_of(pending)


def test_without_any_answer_the_wait_is_a_guess(queue):
    assert queue.wait_s(1) == 5.0


def test_the_wait_follows_the_latest_answers(queue, add):
    add("a"), add("b")
    queue.note_answer(10.0)
    assert queue.wait_s(1) == 30.0
    assert queue.wait_s(2) == 15.0
    for _ in range(50):
        queue.note_answer(1.0)
    assert 2.9 < queue.wait_s(1) < 3.1


def test_no_wait_is_longer_than_ten_minutes(queue, add):
    for _ in range(4):
        add("a")
    queue.note_answer(1e6)
    assert queue.wait_s(1) == 600.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def backoff(clock):
    return Backoff(clock)


def fail(backoff, times, error=None):
    for _ in range(times):
        backoff.note(error or WorkerDied("it died", "ask again"))


def test_a_few_failures_hinder_nothing(backoff):
    fail(backoff, FAILURES - 1)
    backoff.check()
    assert backoff.error is not None


def test_more_bring_a_pause_that_ends(backoff, clock):
    fail(backoff, FAILURES)
    with pytest.raises(WorkerDied, match="it died, as 2 times before; it is tried again in 5 s"):
        backoff.check()
    clock.now += 5.1
    backoff.check()


def test_each_further_failure_doubles_the_pause_up_to_five_minutes(backoff):
    pauses = []
    for count in range(1, 12):
        fail(backoff, 1)
        if count >= FAILURES:
            with pytest.raises(WorkerDied) as caught:
                backoff.check()
            pauses.append(caught.value.retry_after_s)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_in_the_pause_the_latest_error_is_raised_again(backoff):
    fail(backoff, FAILURES, DeviceError("no such device", "ask for cpu"))
    with pytest.raises(DeviceError, match="no such device; ask for cpu"):
        backoff.check()


def test_success_makes_them_forgotten(backoff):
    fail(backoff, FAILURES)
    backoff.clear()
    backoff.check()
    fail(backoff, FAILURES - 1)
    backoff.check()
