"""Statistics of noisy values: medians, means and shares with intervals, and the Pareto frontier.

Medians of a few values have intervals that assume no distribution and draw no numbers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
BLOCK = 64
"""Neighboring positions drawn together: what is hard to foretell comes in stretches."""
FEWEST_BLOCKS = 8
RESAMPLES = 2000
_Z = 1.959964  # the normal distribution's 97.5%


@dataclass(frozen=True)
class Interval:
    """``middle`` with bounds that hold the true value with probability ``confidence``, 0 to 1.

    ``confidence`` is what the number of values allows: three of them give 75% at most.
    """

    low: float
    middle: float
    high: float
    confidence: float

    def overlaps(self, other: Interval) -> bool:
        return self.low <= other.high and other.low <= self.high


def of_median(values: Sequence[float], wanted: float = CONFIDENCE) -> Interval:
    """The median of at least one value, bounded by order statistics.

    The k-th smallest and the k-th largest of n values hold the median of what they were drawn
    from with probability 1 - 2 P(Binomial(n, 1/2) < k); the largest k that keeps ``wanted`` is
    taken, else 1 (David and Nagaraja, Order Statistics, section 7.1).
    """
    ordered, count = sorted(values), len(values)
    best = 1
    while 2 * (best + 1) <= count and _holds_median(count, best + 1) >= wanted:
        best += 1
    return Interval(
        ordered[best - 1],
        statistics.median(ordered),
        ordered[-best],
        max(_holds_median(count, best), 0.0),
    )


def of_ratio(
    ours: Sequence[float], theirs: Sequence[float], wanted: float = CONFIDENCE
) -> Interval:
    """How many times ``theirs`` goes into ``ours``, two unpaired sets of positive values.

    The median of all quotients of one with one (Hodges and Lehmann's estimate, of logarithms),
    bounded by the quotients that the distribution of Mann and Whitney's U allows.
    """
    quotients = sorted(one / other for one in ours for other in theirs)
    counts = _arrangements(len(ours), len(theirs))
    total = sum(counts)
    best, confidence = 1, 1 - 2 * counts[0] / total
    while 2 * (best + 1) <= len(quotients):
        narrower = 1 - 2 * sum(counts[: best + 1]) / total
        if narrower < wanted:
            break
        best, confidence = best + 1, narrower
    middle = statistics.median(quotients)
    return Interval(quotients[best - 1], middle, quotients[-best], max(confidence, 0.0))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def spread(values: Sequence[float]) -> float:
    """The range of the middle half of the values (all of fewer than four) over the median."""
    ordered = sorted(values)
    cut = len(ordered) // 4
    middle = ordered[cut : len(ordered) - cut]
    return (middle[-1] - middle[0]) / statistics.median(ordered)


def _holds_median(count: int, rank: int) -> float:
    below = sum(math.comb(count, k) for k in range(rank))
    return 1 - below / 2.0 ** (count - 1)


def _arrangements(first: int, second: int) -> list[int]:
    """How many orders of ``first`` and ``second`` values give each U, from 0 up.

    The coefficients of the Gaussian binomial, row by row.
    """
    table = [[[1] for _ in range(second + 1)] for _ in range(first + 1)]
    for m in range(1, first + 1):
        for n in range(1, second + 1):
            counts = [0] * (m * n + 1)
            for at, count in enumerate(table[m - 1][n]):
                counts[at + n] += count
            for at, count in enumerate(table[m][n - 1]):
                counts[at] += count
            table[m][n] = counts
    return table[first][second]


def of_mean(values: npt.NDArray[np.floating | np.bool_], block: int = BLOCK) -> Interval:
    """The mean of a series [positions] of neighbors that are not independent.

    Percentiles of a circular block bootstrap (Politis and Romano, 1992: the series' end is
    followed by its beginning, so that every position counts alike), with a fixed seed: the same
    values give the same interval.  Short series are cut into eight blocks at least.
    """
    series = np.asarray(values, np.float64)
    count = len(series)
    size = max(min(block, count // FEWEST_BLOCKS), 1)
    total = np.cumsum(np.concatenate([[0.0], series, series[: size - 1]]))
    sums = total[size:] - total[:-size]
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, math.ceil(count / size)))
    means = sums[drawn].mean(axis=1) / size
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(series.mean()), float(high), CONFIDENCE)


def of_share(right: int, total: int) -> Interval:
    """The share of successes in independent trials (Wilson's score interval, 1927)."""
    share, square = right / total, _Z * _Z
    centre = (share + square / (2 * total)) / (1 + square / total)
    variance = share * (1 - share) / total + square / (4 * total * total)
    half = _Z * math.sqrt(variance) / (1 + square / total)
    return Interval(max(centre - half, 0.0), share, min(centre + half, 1.0), CONFIDENCE)


def exponential(interval: Interval) -> Interval:
    """As a mean of logarithms becomes a perplexity."""
    return Interval(
        math.exp(interval.low),
        math.exp(interval.middle),
        math.exp(interval.high),
        interval.confidence,
    )


def frontier(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Places in ``points`` of those that no other point beats, by rising cost.

    Each point is (cost, gain).  A point beats another that costs no less and gains no more, and
    differs in one of them; so of two equal points both stay.
    """
    found: list[int] = []
    best = float("-inf")
    for at in sorted(range(len(points)), key=lambda one: (points[one][0], -points[one][1])):
        cost, gain = points[at]
        if gain > best or (found and points[found[-1]] == (cost, gain)):
            found.append(at)
            best = gain
    return tuple(found)
