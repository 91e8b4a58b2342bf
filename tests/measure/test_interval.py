from __future__ import annotations

import random
from statistics import median

import pytest

from aipc.measure.interval import of_median, of_ratio, quantile, spread


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
