from __future__ import annotations

import pytest

from aipc.errors import UsageError
from aipc.generate.pattern import check_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "^[A-C]{2}[0-9]$",
        r"^\d{4}-\d{2}$",
        r"(?:yes|no) \(\w+\)",
        r"[a-z.\-\[ ]+",
        r"[]",
        "größe",
    ],
)
def test_patterns_that_match_plain_characters_are_taken(pattern):
    check_pattern(pattern, "here")


@pytest.mark.parametrize(
    ("pattern", "piece"),
    [
        ("a.c", r"'\.'"),
        ("[^a-z]", r"'\[\^a-z\]'"),
        ("[ -~]", r"'\[ -~\]'"),
        ("[A-z]", r"'\[A-z\]'"),
        ('"', "'\"'"),
        ("[\"']", r"in the pattern here"),
        (r"\\", r"in the pattern here"),
        (r"[a\\]", r"in the pattern here"),
        (r"\s", r"'\\s'"),
        (r"[\D]", r"in the pattern here"),
        (r"\u0022", r"'\\u'"),
        (r"\x22", r"'\\x'"),
        ("(?=a)b", r"'\(\?='"),
        ("(?<name>a)", r"'\(\?<'"),
        ("\n", "in the pattern here"),
        ("[a", r"'\['"),
        ("a\\", r"in the pattern here"),
        ("a" * 600, "the pattern here has 600 characters"),
        ("(a{40}b){40}", "has 1,600 repetitions"),
        ("a{" + "9" * 400 + "}", "repetitions"),
        (1, "the pattern here is no text: 1"),
    ],
)
def test_patterns_that_may_match_what_json_escapes_are_refused(pattern, piece):
    with pytest.raises(UsageError, match=piece):
        check_pattern(pattern, "here")
