"""What makes an answer stuck, on a clock of the test's own."""

from __future__ import annotations

import asyncio

import pytest

from aipc.pool import watchdog
from aipc.pool.watchdog import Watchdog

LIMIT_S = 100.0


class FakeLoop:
    """A loop's clock and timers."""

    def __init__(self):
        self.now = 0.0
        self._timers = []

    def time(self):
        return self.now

    def call_at(self, due, call, *arguments):
        self._timers.append((due, call, arguments))
        return self

    def cancel(self):
        self._timers.clear()

    def pass_time(self, seconds, *, standing_still=False):
        """With what is due meanwhile, or else only afterwards."""
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            due, call, arguments = self._timers.pop(0)
            self.now = end if standing_still else due
            call(*arguments)
        self.now = end


@pytest.fixture
def loop(monkeypatch):
    loop = FakeLoop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    return loop


@pytest.fixture
def found():
    return []


@pytest.fixture
def dog(loop, found):
    return Watchdog(LIMIT_S, found.append, lambda: found.append("deaf"))


def test_the_only_answer_is_stuck_when_its_time_is_over(dog, loop, found):
    dog.start(1)
    loop.pass_time(LIMIT_S - 1)
    assert found == []
    loop.pass_time(5)
    assert found == [1]


def test_one_that_waits_in_the_engine_behind_earlier_ones_is_not(dog, loop, found):
    dog.start(1)
    dog.start(2)
    for _ in range(50):
        loop.pass_time(10)
        dog.note(1)
    assert found == []
    dog.end(1)
    loop.pass_time(LIMIT_S - 1)
    assert found == []
    loop.pass_time(5)
    assert found == [2]


@pytest.mark.parametrize("has_begun", [True, False])
def test_one_that_a_later_one_has_overtaken_is(dog, loop, found, has_begun):
    dog.start(1)
    if has_begun:
        dog.note(1)
    dog.start(2)
    for _ in range(10):
        loop.pass_time(10)
        dog.note(2)
    loop.pass_time(5)
    assert found == [1]


def test_a_long_prompt_has_more_time_and_so_have_those_beside_it(dog, loop, found):
    dog.start(1)
    dog.note(1)
    dog.start(2)
    dog.expect(2, 4000)
    dog.start(3)
    dog.expect(3, 10)
    loop.pass_time(5 * LIMIT_S - 5)
    assert found == []
    dog.note(1)
    dog.note(2)
    loop.pass_time(LIMIT_S - 1)
    assert found == []
    dog.note(1)
    dog.note(3)
    loop.pass_time(8)
    assert found == [2]


def test_a_long_prompt_is_stuck_at_last(dog, loop, found):
    dog.start(1)
    dog.expect(1, 4000)
    loop.pass_time(5 * LIMIT_S + 5)
    assert found == [1]


def test_a_worker_is_deaf_that_does_not_end_it(dog, loop, found):
    dog.start(1)
    loop.pass_time(LIMIT_S + watchdog.DEAF_S + 20)
    assert found == [1, "deaf"]


def test_one_that_ends_in_time_is_not_deaf(dog, loop, found):
    dog.start(1)
    loop.pass_time(LIMIT_S)
    assert found == [1]
    dog.end(1)
    dog.start(2)
    loop.pass_time(LIMIT_S / 2)
    assert found == [1]


def test_the_time_that_this_process_was_suspended_does_not_count(dog, loop, found):
    dog.start(1)
    loop.pass_time(50)
    loop.pass_time(1_000_000, standing_still=True)
    loop.pass_time(30)
    assert found == []
    loop.pass_time(15)
    assert found == [1]
