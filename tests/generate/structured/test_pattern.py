from __future__ import annotations

import pytest

from aipc.errors import UsageError
from aipc.generate.structured.pattern import check_pattern


@pytest.mark.parametrize(
    ("pattern", "repeats"),
    [("^[A-C]{2}[0-9]$", 2), (r"^\d{4}-\d{2}$", 8), ("(a{3,}b{2,5})+", 15), ("größe", 1)],
)
def test_the_repetitions_of_a_pattern_are_counted(pattern, repeats):
    assert check_pattern(pattern, "here") == repeats


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a" * 600, "the pattern here has 600 characters"),
        ("(a{40}b){40}", "has 1,600 repetitions"),
        ("a{" + "9" * 400 + "}", "repetitions"),
        (1, "the pattern here is no text: 1"),
    ],
)
def test_patterns_beyond_a_limit_are_refused(pattern, reason):
    with pytest.raises(UsageError, match=reason):
        check_pattern(pattern, "here")
