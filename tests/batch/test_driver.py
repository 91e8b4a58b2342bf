"""Lines kept under way by a function that answers them, or doesn't."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from aipc.batch import driver
from aipc.batch.answers import new_answer
from aipc.batch.asking import LineInterrupted
from aipc.batch.driver import drive
from aipc.batch.input.line_index import LineEntry
from aipc.batch.work import BatchWork
from aipc.errors import BatchError
from aipc.pool.failures import GaveWay, ServerBusy, WorkerDied


def entries(count):
    return [
        LineEntry(at, 0, 0, 0, f"id-{at}", "m", "/v1/completions") for at in range(1, count + 1)
    ]


def answer_to(entry):
    return new_answer(entry.custom_id, {}, "req_1")


class Answers:
    """A worker that dies of some lines, with all that it answers."""

    def __init__(self, deadly=()):
        self.deadly = set(deadly)
        self.asked = Counter()
        self.under_way = set()
        self.most = self.deaths = self.rounds = 0
        self._death = asyncio.Event()

    async def __call__(self, entry):
        self.asked[entry.number] += 1
        self.rounds += not self.under_way
        self.under_way.add(entry.number)
        self.most = max(self.most, len(self.under_way))
        death = self._death
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if entry.number in self.deadly:
                self._death.set()
                self._death = asyncio.Event()
                self.deaths += 1
            if death.is_set():
                raise LineInterrupted("the worker died", "ask again")
            return answer_to(entry)
        finally:
            self.under_way.discard(entry.number)


def driven(count, answers, in_flight=8, **options):
    kept = {}
    work = BatchWork(entries(count), keep=lambda one: kept.setdefault(one.custom_id, one))
    asyncio.run(drive(work, answers, in_flight, **options))
    return kept, work


def test_all_are_answered_and_as_many_at_once_as_may_be():
    answers = Answers()
    kept, work = driven(50, answers)
    assert len(kept) == 50
    assert answers.most == 8
    assert set(answers.asked.values()) == {1}
    assert work.counts.left == 0


def test_a_line_that_kills_the_worker_fails_and_takes_no_other_along():
    answers = Answers(deadly={5})
    kept, work = driven(40, answers)
    failed = [name for name, one in kept.items() if one.is_failed]
    assert len(kept) == 40
    assert failed == ["id-5"]
    assert kept["id-5"].status_code == 503
    assert "at last alone" in kept["id-5"].body["error"]["message"]
    assert work.counts.under_way == 0


@pytest.mark.parametrize("deadly", [1, 77, 128])
def test_it_is_found_by_halves(deadly):
    answers = Answers(deadly={deadly})
    kept, _ = driven(150, answers, in_flight=128)
    assert [name for name, one in kept.items() if one.is_failed] == [f"id-{deadly}"]
    assert len(kept) == 150
    assert answers.deaths <= 2 + 7  # beside others, then as one of 64, 32 … 1
    assert answers.rounds < 40


def test_a_lone_line_that_kills_the_worker_is_asked_three_times():
    answers = Answers(deadly={1})
    kept, _ = driven(1, answers)
    assert answers.asked[1] == 3
    assert "3 times" in kept["id-1"].body["error"]["message"]


def test_several_such_lines_are_told_from_the_others():
    kept, _ = driven(64, Answers(deadly={1, 2, 30, 64}), in_flight=16)
    failed = {name for name, one in kept.items() if one.is_failed}
    assert len(kept) == 64
    assert failed == {"id-1", "id-2", "id-30", "id-64"}


def test_a_line_that_gave_way_or_found_no_room_is_asked_again(monkeypatch):
    slept = []

    async def no_sleep(seconds):
        slept.append(seconds)

    asked = Counter()

    async def answer(entry):
        asked[entry.number] += 1
        if asked[entry.number] == 1 and entry.number == 1:
            raise GaveWay("gave way", "ask again")
        if asked[entry.number] < 3 and entry.number == 2:
            raise ServerBusy("busy", "ask again", retry_after_s=7)
        return answer_to(entry)

    monkeypatch.setattr(driver.asyncio, "sleep", no_sleep)
    kept, _ = driven(3, answer)
    assert not any(one.is_failed for one in kept.values())
    assert asked == {1: 2, 2: 3, 3: 1}
    assert slept == [7.0, 7.0]


def test_a_model_that_can_not_be_had_any_more_ends_it_and_fails_no_line(monkeypatch):
    async def no_sleep(_):
        pass

    async def answer(_):
        raise WorkerDied("it does not start", "look at it")

    monkeypatch.setattr(driver.asyncio, "sleep", no_sleep)
    work = BatchWork(entries(20))
    with pytest.raises(WorkerDied, match="does not start"):
        asyncio.run(drive(work, answer, 4))
    counts = work.counts
    assert (counts.done, counts.left, counts.under_way) == (0, 20, 0)


def test_what_was_answered_beside_an_error_that_ends_it_is_kept():
    async def answer(entry):
        if entry.number == 2:
            raise BatchError("line 2 has changed", "leave it")
        return answer_to(entry)

    kept = []
    work = BatchWork(entries(20), keep=kept.append)
    with pytest.raises(BatchError, match="has changed"):
        asyncio.run(drive(work, answer, 20))
    assert len(kept) == 19
    assert (work.counts.left, work.counts.under_way) == (1, 0)


def test_answers_beside_the_last_pause_are_kept_and_count(monkeypatch):
    async def no_sleep(_):
        pass

    asked = Counter()

    async def answer(entry):
        asked[entry.number] += 1
        if asked[entry.number] <= driver._MOST_PAUSES + (entry.number > 1):
            raise ServerBusy("busy", "ask again")
        return answer_to(entry)

    monkeypatch.setattr(driver.asyncio, "sleep", no_sleep)
    kept, _ = driven(8, answer)
    assert len(kept) == 8


def test_what_is_under_way_is_given_back_where_it_is_cancelled_or_fails():
    async def stuck(entry):
        if entry.number < 3:
            return answer_to(entry)
        await asyncio.sleep(60)
        raise AssertionError

    async def cancelled(work):
        driving = asyncio.ensure_future(drive(work, stuck, 4))
        await asyncio.wait({driving}, timeout=0.05)
        driving.cancel()
        await asyncio.wait({driving})

    work = BatchWork(entries(10))
    asyncio.run(cancelled(work))
    assert (work.counts.done, work.counts.left, work.counts.under_way) == (2, 8, 0)

    async def changed(entry):
        raise BatchError(f"line {entry.number} has changed", "leave it")

    work = BatchWork(entries(10))
    with pytest.raises(BatchError, match="has changed"):
        asyncio.run(drive(work, changed, 4))
    assert work.counts.left == 10


def test_suspects_are_left_for_another_time_where_it_is_stopped():
    work = BatchWork(entries(4))

    asked = Counter()

    async def counted(entry):
        asked[entry.number] += 1
        if sum(asked.values()) == 8:
            work.stop("enough")
        raise LineInterrupted("the worker died", "ask again")

    asyncio.run(drive(work, counted, 4))
    assert (work.counts.done, work.counts.left, work.counts.under_way) == (0, 4, 0)
