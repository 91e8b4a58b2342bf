from __future__ import annotations

import itertools
import random

import pytest

from aipc.errors import UsageError
from aipc.generate.repetition import RepetitionDetection, RepetitionDetector, looping_pattern

START = list(range(1000, 1020))
LETTERS = 500
"""Tokens below it have none in these tests."""


def rounds(period, length):
    return list(itertools.islice(itertools.cycle(range(500, 500 + period)), length))


def found_at(tokens, **rule):
    """(tokens read, pattern) at the first loop; None without one."""
    detector = RepetitionDetector(RepetitionDetection(**rule), lambda token: token >= LETTERS)
    for count, token in enumerate(tokens, 1):
        period = detector.feed(token)
        if period is not None:
            return count, period
    return None


def ends_with(tokens, period, least):
    """The rule in one line: the end is one pattern three times over, and long enough."""
    length = max(3 * period, least)
    return len(tokens) >= length and tokens[-length:][period:] == tokens[-length:][:-period]


@pytest.mark.parametrize(
    ("period", "length"), [(1, 24), (2, 24), (7, 24), (8, 24), (9, 27), (30, 90), (1024, 3072)]
)
def test_a_loop_is_found_at_the_token_that_makes_it_one(period, length):
    assert found_at(START + rounds(period, 4000)) == (20 + length, period)
    assert found_at(START + rounds(period, length - 1)) is None


def test_a_pattern_beyond_the_longest_is_none():
    assert found_at(rounds(1025, 4 * 1025)) is None


def test_it_agrees_with_its_rule_wherever_tokens_come_back_often():
    source = random.Random(7)
    loops = 0
    for _ in range(300):
        size, pattern = source.randint(1, 12), source.randint(1, 9)
        tokens = [source.randrange(500, 500 + size) for _ in range(40)]
        tokens += tokens[-pattern:] * source.randint(0, 8) + tokens[:10]
        detector = RepetitionDetector(RepetitionDetection())
        for count, token in enumerate(tokens, 1):
            own = detector.feed(token)
            periods = range(1, count // 3 + 1)
            assert own == next((p for p in periods if ends_with(tokens[:count], p, 24)), None)
            loops += own is not None
    assert loops > 1000


def test_what_has_no_letter_has_to_go_on_for_longer():
    assert found_at([7] * 511) is None
    assert found_at([7] * 600) == (512, 1)
    assert found_at([7, 8, 9] * 200) == (512, 3)
    assert found_at([7, 8, 500] * 100) == (24, 3)  # one of them writes a letter
    assert found_at(list(range(200)) * 4) == (600, 200)


def test_an_answer_that_left_its_loop_ends_with_none():
    assert looping_pattern([5] * 30) == 1
    assert looping_pattern([*[5] * 30, 6]) is None
    assert looping_pattern([]) is None


def test_the_rule_of_vllm_is_had_by_its_members():
    exact = {"min_tokens": 0, "min_wordless_tokens": 0}
    tokens = START + rounds(2, 40)
    assert found_at(tokens, max_pattern_size=8, min_count=4, **exact) == (28, 2)
    assert found_at(tokens, max_pattern_size=8, min_count=4) == (44, 2)
    assert found_at(tokens, max_pattern_size=8, min_pattern_size=3, min_count=4, **exact) == (36, 4)
    assert found_at(tokens, max_pattern_size=1, min_count=2, **exact) is None
    assert found_at([5, 5], max_pattern_size=1, min_count=2, **exact) == (2, 1)


def test_sizes_that_exclude_each_other_are_refused():
    with pytest.raises(UsageError, match="min_pattern_size 9 is above max_pattern_size 8"):
        RepetitionDetection(max_pattern_size=8, min_pattern_size=9)
    with pytest.raises(UsageError, match="below its minimum 2"):
        RepetitionDetection(min_count=1)
