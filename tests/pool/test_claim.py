from __future__ import annotations

import asyncio

import pytest

from aipc.pool import claim as claim_module
from aipc.pool.claim import Claim


@pytest.fixture
def changes():
    return []


@pytest.fixture
def run(changes):
    """Run a coroutine function with a claim; ``changes`` has what it was at each change."""

    def with_claim(go):
        async def made():
            claim = Claim(lambda: changes.append(claim.is_held))
            return await asyncio.wait_for(go(claim), 10.0)

        return asyncio.run(made())

    return with_claim


def test_it_is_held_while_the_model_is_asked_and_a_while_longer(run, changes):
    async def go(claim):
        assert not claim.is_held
        claim.note(is_asked=False)
        assert changes == []
        claim.note(is_asked=True)
        claim.note(is_asked=True)
        assert changes == [True]
        claim.note(is_asked=False)
        assert claim.is_held
        claim.release()
        assert changes == [True, False]
        claim.note(is_asked=False)
        assert not claim.is_held

    run(go)


def test_the_end_of_the_while_ends_nothing_that_is_asked(run, changes):
    async def go(claim):
        claim.note(is_asked=True)
        claim.release()
        assert claim.is_held
        assert changes == [True]

    run(go)


def test_it_ends_by_itself(run, changes, monkeypatch):
    monkeypatch.setattr(claim_module, "_LINGER_S", 0.01)

    async def go(claim):
        claim.note(is_asked=True)
        claim.note(is_asked=False)
        while claim.is_held:  # noqa: ASYNC110 - until its own timer
            await asyncio.sleep(0.01)

    run(go)
    assert changes == [True, False]


def test_when_it_was_last_asked_is_when_its_last_answer_ended(run):
    async def go(claim):
        claim.note(is_asked=True)
        begun = claim.last_at
        await asyncio.sleep(0.02)
        claim.note(is_asked=False)
        ended = claim.last_at
        await asyncio.sleep(0.02)
        claim.note(is_asked=False)
        assert begun < ended == claim.last_at

    run(go)


def test_who_waits_for_it_to_be_asked_is_woken_or_gives_up(run):
    async def go(claim):
        await claim.until_asked(0.01)
        waiting = asyncio.create_task(claim.until_asked(60.0))
        await asyncio.sleep(0)
        claim.note(is_asked=True)
        await asyncio.wait_for(waiting, 5.0)

    run(go)
