from __future__ import annotations

import pytest

from aipc.errors import DeviceError
from aipc.serve.failures import WorkerDied
from aipc.serve.pool.backoff import TRIES, Backoff


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def setbacks(clock):
    return Backoff(clock)


def fail(setbacks, times, error=None):
    for _ in range(times):
        setbacks.note(error or WorkerDied("it died", "ask again"))


def test_a_few_failures_hinder_nothing(setbacks):
    fail(setbacks, TRIES - 1)
    setbacks.check()
    assert setbacks.error is not None


def test_more_bring_a_pause_that_ends(setbacks, clock):
    fail(setbacks, TRIES)
    with pytest.raises(WorkerDied, match="it died, as 2 times before; it is tried again in 5 s"):
        setbacks.check()
    clock.now += 5.1
    setbacks.check()


def test_each_further_failure_doubles_the_pause_up_to_five_minutes(setbacks):
    pauses = []
    for count in range(1, 12):
        fail(setbacks, 1)
        if count >= TRIES:
            with pytest.raises(WorkerDied) as caught:
                setbacks.check()
            pauses.append(caught.value.retry_after_s)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_in_the_pause_an_error_that_was_told_is_told_again(setbacks):
    fail(setbacks, TRIES, DeviceError("no such device", "ask for cpu"))
    with pytest.raises(DeviceError, match="no such device; ask for cpu"):
        setbacks.check()


def test_success_makes_them_forgotten(setbacks):
    fail(setbacks, TRIES)
    setbacks.clear()
    setbacks.check()
    fail(setbacks, TRIES - 1)
    setbacks.check()
