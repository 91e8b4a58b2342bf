from __future__ import annotations

import asyncio
import math

from aipc.pool.idle_timer import IdleTimer


def test_it_calls_once_when_its_time_is_over_and_not_once_stopped(run_async):
    async def go():
        calls, over = [], asyncio.Event()
        stopped = IdleTimer(0.01, lambda: calls.append("stopped"))
        stopped.start()
        stopped.stop()
        timer = IdleTimer(0.02, over.set)
        timer.start()
        timer.start()
        await asyncio.wait_for(over.wait(), 10.0)
        return calls, timer.left_s

    assert run_async(go()) == ([], 0.02)


def test_another_time_lasts_until_the_usual_one_is_asked_for(run_async):
    async def go():
        timer = IdleTimer(600.0, lambda: None)
        timer.last(math.inf)
        timer.start()
        assert timer.left_s is None
        timer.last(5.0)
        timer.start()
        assert timer.left_s <= 5.0
        timer.last()
        timer.start()
        assert 5.0 < timer.left_s <= 600.0
        timer.stop()

    run_async(go())
