from __future__ import annotations

import pytest

from aipc import units


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (92_871_040, "92.9 MB"), (7_642_159_104, "7.6 GB")],
)
def test_amounts(nbytes, text):
    assert units.amount(nbytes) == text


def test_what_was_not_measured_is_said_so():
    for words in (units.seconds, units.milliseconds, units.rate, units.percent, units.joules):
        assert words(None) == "not measured"


def test_values_have_their_unit():
    assert units.seconds(0.0123) == "12.3 ms"
    assert [units.seconds(value) for value in (0.1, 9.994, 10)] == ["0.10 s", "9.99 s", "10.0 s"]
    assert units.milliseconds(0.0123) == "12.3 ms"
    assert [units.rate(value) for value in (99.94, 1234.5)] == ["99.9", "1,234"]
    assert units.percent(0.125) == "12%"
    assert units.joules(0.12345) == "0.123 J"
