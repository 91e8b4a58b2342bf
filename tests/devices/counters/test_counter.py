from __future__ import annotations

import pytest

from aipc.devices.counters.counter import Growth, share


def test_a_rate_needs_two_readings() -> None:
    growth = Growth()
    assert growth.per_second(100, 10.0) is None
    assert growth.per_second(150, 10.5) == pytest.approx(100)
    assert growth.per_second(150, 11.0) == 0


def test_a_number_that_wraps_goes_on() -> None:
    growth = Growth(wraps_after=1000)
    growth.per_second(990, 0.0)
    assert growth.per_second(30, 2.0) == pytest.approx(20)


def test_a_number_that_fell_was_reset_and_tells_nothing() -> None:
    growth = Growth()
    growth.per_second(990, 0.0)
    assert growth.per_second(30, 1.0) is None
    assert growth.per_second(40, 2.0) == pytest.approx(10)


def test_what_could_not_be_read_tells_nothing() -> None:
    growth = Growth()
    growth.per_second(10, 0.0)
    assert growth.per_second(None, 1.0) is None
    assert growth.per_second(20, 2.0) is None


def test_no_time_no_rate() -> None:
    growth = Growth()
    growth.per_second(10, 1.0)
    assert growth.per_second(20, 1.0) is None


def test_a_share_is_between_nothing_and_all() -> None:
    assert (share(-0.01), share(0.5), share(1.02), share(None)) == (0.0, 0.5, 1.0, None)
