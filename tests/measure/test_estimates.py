from __future__ import annotations

import numpy as np
import pytest

from aipc.measure.estimates import exponential, of_mean, of_share


def test_a_mean_of_independent_values_has_the_interval_that_theory_gives():
    values = np.random.default_rng(1).normal(3, 1, 4096)
    found = of_mean(values)
    assert found.middle == pytest.approx(values.mean())
    expected = 1.96 * values.std() / 64
    assert found.high - found.middle == pytest.approx(expected, rel=0.25)
    assert found.middle - found.low == pytest.approx(expected, rel=0.25)


def test_neighbors_that_are_alike_widen_the_interval():
    """A thousand values that are 64 times the same 16 are 16 values, not a thousand."""
    few = np.random.default_rng(1).normal(0, 1, 16)
    alike, mixed = np.repeat(few, 64), np.tile(few, 64)
    width = {name: of_mean(values) for name, values in (("alike", alike), ("mixed", mixed))}
    spans = {name: found.high - found.low for name, found in width.items()}
    assert spans["alike"] > 4 * spans["mixed"]


def test_the_same_values_give_the_same_interval():
    values = np.random.default_rng(2).random(100)
    assert of_mean(values) == of_mean(values)


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 128, 1000])
def test_the_interval_of_a_short_or_lopsided_series_holds_its_mean(count):
    series = np.linspace(0, 1, count) ** 4
    found = of_mean(series)
    assert found.low <= found.middle <= found.high
    assert found.middle == pytest.approx(series.mean())


@pytest.mark.parametrize(
    ("right", "total", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634)]
)
def test_wilsons_interval_as_tables_have_it(right, total, low, high):
    found = of_share(right, total)
    assert found.middle == right / total
    assert found.low == pytest.approx(low, abs=1e-4)
    assert found.high == pytest.approx(high, abs=1e-4)


def test_a_perplexity_is_the_exponential_of_a_loss():
    loss = of_mean(np.log(np.full(200, 7.0)))
    assert exponential(loss).middle == pytest.approx(7.0)
    assert exponential(loss).confidence == loss.confidence
