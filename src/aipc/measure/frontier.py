"""What no other beats: the Pareto frontier of cost against gain."""

from __future__ import annotations

from collections.abc import Sequence


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
