from __future__ import annotations

from aipc.serve.pool.pace import Pace


def test_without_any_answer_it_guesses():
    assert Pace().wait_s(1, 1) == 5.0


def test_it_follows_the_latest_answers():
    pace = Pace()
    pace.note(10.0)
    assert pace.wait_s(3, 1) == 30.0
    assert pace.wait_s(3, 2) == 15.0
    for _ in range(50):
        pace.note(1.0)
    assert 2.9 < pace.wait_s(3, 1) < 3.1


def test_nobody_is_told_to_wait_for_longer_than_ten_minutes():
    pace = Pace()
    pace.note(1e6)
    assert pace.wait_s(5, 1) == 600.0
