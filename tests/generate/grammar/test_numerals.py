from __future__ import annotations

import random
import re
from decimal import Decimal

import pytest

from aipc.generate.grammar.numerals import INTEGER, NUMBER, integers, numbers
from aipc.generate.grammar.steps import multiples
from aipc.runtimes.grammars.automaton import holds


@pytest.mark.parametrize(
    ("least", "most"),
    [(4, 154), (-133, -123), (0, 9), (-7, 7), (17, 12_362), (1900, None), (None, -3), (99, 100)],
)
def test_an_integer_is_allowed_if_it_lies_between_the_bounds(least, most):
    allowed = integers(least, most)
    for value in (*range(-1500, 2500), 12_361, 12_362, 12_363, 10**15):
        fits = (least is None or value >= least) and (most is None or value <= most)
        assert holds(allowed, str(value)) == fits, value
    assert not holds(allowed, "-0")
    assert not holds(allowed, "007")


def test_an_unbounded_number_has_an_end():
    assert holds(INTEGER, "9" * 16)
    assert not holds(INTEGER, "9" * 17)
    assert holds(NUMBER, "-1.5e-10")
    assert not any(holds(NUMBER, text) for text in ("1." + 16 * "1", "1e100", ".5", "+1", "01"))


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize(
    ("least", "most"),
    [("0", "1"), ("-0.5", "0.25"), ("1.05", "1.5"), ("3", None), (None, "-2.75"), ("-3", "-1")],
)
def test_a_number_is_allowed_if_it_lies_between_the_bounds(least, most, is_open):
    low, high = (None if each is None else Decimal(each) for each in (least, most))
    allowed = numbers(low, high, above=is_open, below=is_open)
    dice = random.Random(0)
    drawn = [f"{dice.uniform(-4, 4):.{dice.randrange(1, 5)}f}" for _ in range(400)]
    edges = [text for text in (least, most, "0", "0.0", "1.00", "-1") if text is not None]
    for text in (*drawn, *edges):
        value = Decimal(text)
        fits = (low is None or value > low or (value == low and not is_open)) and (
            high is None or value < high or (value == high and not is_open)
        )
        assert holds(allowed, text) == (fits and not re.match(r"-0(\.0+)?$", text)), text


@pytest.mark.parametrize("step", [2, 5, 7, 100, 0.5, 0.25, 0.01])
@pytest.mark.parametrize("bounds", [(None, None), (0, None), (Decimal("-2.5"), Decimal(300))])
def test_multiples_are_allowed_and_what_lies_between_them_is_not(step, bounds):
    allowed = multiples([step], *bounds)
    found = 0
    for count in range(-120, 120):
        value = count * Decimal(str(step))
        text = f"{value.normalize():f}"
        fits = all(each is None for each in bounds) or (
            value >= bounds[0] and (bounds[1] is None or value <= bounds[1])
        )
        found += fits
        assert holds(allowed, text) == fits, text
        assert not holds(allowed, f"{value + Decimal(str(step)) / 3:.6f}")
    assert found > 3
