"""Means and shares with intervals of 95%, for the places of a text and for right answers."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from aipc.measure.interval import Interval

CONFIDENCE = 0.95
BLOCK = 64
"""Neighboring places drawn together: what is hard to foretell comes in stretches."""
FEWEST_BLOCKS = 8
RESAMPLES = 2000
_Z = 1.959964  # the normal distribution's 97.5%


def of_mean(values: npt.NDArray[np.floating | np.bool_], block: int = BLOCK) -> Interval:
    """The mean of a series [places] of neighbors that are not independent.

    Percentiles of a circular block bootstrap (Politis and Romano, 1992: the series' end is
    followed by its beginning, so that every place counts alike), with a fixed seed: the same
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
    spread = share * (1 - share) / total + square / (4 * total * total)
    half = _Z * math.sqrt(spread) / (1 + square / total)
    return Interval(max(centre - half, 0.0), share, min(centre + half, 1.0), CONFIDENCE)


def exponential(interval: Interval) -> Interval:
    """As a mean of logarithms becomes a perplexity."""
    return Interval(
        math.exp(interval.low),
        math.exp(interval.middle),
        math.exp(interval.high),
        interval.confidence,
    )
