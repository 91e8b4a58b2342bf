from __future__ import annotations

import pytest

from aipc import units
from aipc.errors import UsageError


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
    assert [units.nats(value) for value in (1.0804, 0.48143, 0.0047, 7e-7, -1e-7)] == [
        *("1.1", "0.48", "0.0047", "<0.001", "<0.001")
    ]


@pytest.mark.parametrize(("text", "length"), [("90s", 90), ("10m", 600), ("1.5h", 5400)])
def test_a_duration_is_told_with_its_unit(text, length):
    assert units.duration(text) == length


@pytest.mark.parametrize("text", ["", "10", "m", "10 minutes", "0s", "-1m", "nanm", "infh", "1d"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(UsageError, match="write 90s, 10m or 2h"):
        units.duration(text)


def test_a_number_of_things_has_the_noun_that_fits() -> None:
    assert [units.count(n, "line") for n in (0, 1, 2000)] == ["0 lines", "1 line", "2,000 lines"]
