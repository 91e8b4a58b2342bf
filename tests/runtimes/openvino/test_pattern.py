from __future__ import annotations

import pytest

from aipc.runtimes.openvino.pattern import risky_piece


@pytest.mark.parametrize(
    "pattern",
    [
        "^[A-C]{2}[0-9]$",
        r"^\d{4}-\d{2}$",
        r"(?:yes|no) \(\w+\)",
        r"[a-z.\-\[ ]+",
        r"[]",
        "größe",
        "^(?:^a|b$)(c|d)$",
        r"a\|b[|]",
    ],
)
def test_patterns_that_match_plain_characters_are_sound(pattern):
    assert risky_piece(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "piece"),
    [
        ("a.c", "."),
        ("[^a-z]", "[^a-z]"),
        ("[ -~]", "[ -~]"),
        ("[A-z]", "[A-z]"),
        ('"', '"'),
        ("[\"']", "[\"']"),
        (r"\\", r"\\"),
        (r"[a\\]", r"[a\\]"),
        (r"\s", r"\s"),
        (r"[\D]", r"[\D]"),
        (r"\u0022", r"\u"),
        (r"\x22", r"\x"),
        ("(?=a)b", "(?="),
        ("(?<name>a)", "(?<"),
        ("\n", "\n"),
        ("[a", "["),
        ("a\\", "\\"),
        ("a^b", "^"),
        ("a$b", "$"),
        ("a|b", "|"),
        ("^(a)|(b)$", "|"),
    ],
)
def test_what_may_match_what_json_escapes_or_is_passed_over_is_found(pattern, piece):
    assert risky_piece(pattern) == piece
