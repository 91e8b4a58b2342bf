from __future__ import annotations

import pytest

from aipc.serve.pool.fair_queue import FairQueue
from aipc.serve.pool.pending_request import PendingRequest
from aipc.serve.requests import GenerationRequest


@pytest.fixture
def line():
    return FairQueue()


@pytest.fixture
def join(line):
    def joined(client):
        visit = PendingRequest(GenerationRequest(prompt="hello", client=client))
        line.join(visit)
        return visit

    return joined


def test_one_client_is_served_in_order(line, join):
    visits = [join("a") for _ in range(3)]
    assert list(line.in_order()) == visits
    assert [line.take() for _ in range(3)] == visits
    assert len(line) == 0


def test_turns_go_round_and_the_order_is_foretold(line, join):
    first, second, third = join("a"), join("a"), join("a")
    other, late = join("b"), join("c")
    foretold = [first, other, late, second, third]
    assert list(line.in_order()) == foretold
    assert [line.take() for _ in range(5)] == foretold


def test_whoever_was_served_comes_after_those_who_were_not(line, join):
    join("a"), join("a"), join("b")
    line.take()
    again = join("a")
    assert next(line.in_order()).ask.client == "b"
    assert list(line.in_order())[-1] is again


def test_leaving_closes_the_gap(line, join):
    first, second, other = join("a"), join("a"), join("b")
    assert line.leave(first)
    assert list(line.in_order()) == [second, other]
    assert not line.leave(first)
    assert line.leave(second)
    assert line.leave(other)
    assert not line.leave(other)
    assert len(line) == 0
