from __future__ import annotations

from aipc.measure.frontier import frontier


def test_points_that_another_beats_are_left_out():
    points = [(3.0, 9.0), (1.0, 5.0), (2.0, 4.0), (2.0, 8.0), (3.0, 8.5)]
    assert frontier(points) == (1, 3, 0)


def test_equal_points_both_stay_and_a_tie_in_one_respect_does_not():
    assert frontier([(1.0, 5.0), (1.0, 5.0)]) == (0, 1)
    assert frontier([(1.0, 5.0), (1.0, 4.0), (2.0, 5.0)]) == (0,)


def test_no_point_has_no_frontier():
    assert frontier([]) == ()
