from __future__ import annotations

import random
from statistics import median

import numpy as np
import pytest

from aipc.measure.statistics import (
    exponential,
    frontier,
    of_mean,
    of_median,
    of_ratio,
    of_share,
    quantile,
    spread,
)


def test_six_values_bound_their_median_by_all_of_them():
    found = of_median([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    assert (found.low, found.middle, found.high) == (1.0, 3.5, 6.0)
    assert found.confidence == pytest.approx(1 - 2 / 2**6)


def test_more_values_give_a_narrower_interval_that_keeps_its_confidence():
    found = of_median(list(range(1, 21)))
    assert (found.low, found.high) == (6, 15)  # the tables' bounds for n = 20
    assert found.confidence == pytest.approx(0.9586, abs=1e-4)


def test_too_few_values_say_how_little_they_are_sure():
    assert of_median([1.0, 2.0, 3.0]).confidence == pytest.approx(0.75)
    assert of_median([2.0]).confidence == 0


def test_the_interval_of_the_median_holds_it_as_often_as_it_says():
    source = random.Random(1)
    intervals = [of_median([source.expovariate(1) for _ in range(9)]) for _ in range(2000)]
    held = sum(found.low <= 0.6931 <= found.high for found in intervals) / len(intervals)
    assert held == pytest.approx(intervals[0].confidence, abs=0.02)


def test_the_ratio_of_two_sets_is_bounded_by_mann_and_whitneys_u():
    ours, theirs = [2.0 * value for value in range(1, 7)], [float(value) for value in range(1, 7)]
    found = of_ratio(ours, theirs)
    quotients = sorted(one / other for one in ours for other in theirs)
    assert (found.low, found.high) == (quotients[5], quotients[-6])  # U = 5 for 6 and 6 at 5%
    assert found.middle == median(quotients)
    assert found.confidence >= 0.95


def test_the_interval_of_the_ratio_holds_it_as_often_as_it_says():
    source = random.Random(2)

    def drawn(scale):
        return [scale * source.lognormvariate(0, 0.3) for _ in range(6)]

    found = [of_ratio(drawn(3.0), drawn(2.0)) for _ in range(2000)]
    held = sum(one.low <= 1.5 <= one.high for one in found) / len(found)
    assert held == pytest.approx(found[0].confidence, abs=0.02)


def test_two_runs_of_one_comparison_agree_within_their_intervals():
    source = random.Random(3)
    runs = [of_median([source.gauss(1.2, 0.1) for _ in range(8)]) for _ in range(40)]
    agreeing = sum(one.overlaps(other) for one in runs for other in runs)
    assert agreeing > 0.95 * len(runs) ** 2


def test_quantiles_are_values_that_were_seen():
    values = [float(value) for value in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.9), quantile(values, 0.99)) == (50, 90, 99)
    assert quantile([7.0], 0.99) == 7.0


def test_one_outlier_does_not_make_repeats_unsteady():
    assert spread([1.0, 1.0, 1.0, 1.0, 9.0]) == 0
    assert spread([1.0, 2.0, 3.0]) == pytest.approx(1.0)


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


def test_points_that_another_beats_are_left_out():
    points = [(3.0, 9.0), (1.0, 5.0), (2.0, 4.0), (2.0, 8.0), (3.0, 8.5)]
    assert frontier(points) == (1, 3, 0)


def test_equal_points_both_stay_and_a_tie_in_one_respect_does_not():
    assert frontier([(1.0, 5.0), (1.0, 5.0)]) == (0, 1)
    assert frontier([(1.0, 5.0), (1.0, 4.0), (2.0, 5.0)]) == (0,)


def test_no_point_has_no_frontier():
    assert frontier([]) == ()
