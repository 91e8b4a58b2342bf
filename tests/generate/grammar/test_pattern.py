from __future__ import annotations

import random
import re

import pytest

from aipc.generate.grammar.pattern import UnsupportedPattern, language
from aipc.runtimes.grammars.automaton import Automaton, holds, is_plain

EMAIL = (
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]"
    r"@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
)
PATTERNS = [
    "b",
    "^[a-c]+$",
    "^a|b$",
    "(^a|b)c",
    "^$|^x{3}$",
    r"^\S+$",
    "^[^@]+@x$",
    "a{2,3}?b",
    "[\\]a-]",
    r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$",
    r"^(?=.*[A-Z])(?=.*\d).{3,}$",
    r"^(?=.{1,4}$)[a-c]+(?:\.[a-c]+)*$",
    EMAIL,
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_found_where_python_finds_it(pattern):
    found, dice = language(pattern), random.Random(pattern)
    texts = ["", "aab", "a@b.cc", "x@x", "aA1b", *("." * count for count in range(4))]
    texts += ["".join(dice.choices("abcxX1.@-+0. ", k=dice.randrange(8))) for _ in range(300)]
    matches = [bool(re.search(pattern, text)) for text in texts]
    assert [holds(found, text) for text in texts] == matches
    assert 0 < sum(matches) < len(texts)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_its_automaton_reads_the_same(pattern):
    found = language(pattern)
    automaton, dice = Automaton.of(found), random.Random(1)
    for _ in range(300):
        text = "".join(dice.choices("abcxX1.@-+0 ", k=dice.randrange(8)))
        assert reads(automaton, text) == holds(found, text)


def reads(automaton, text):
    state = 0
    for character in text:
        code = ord(character)
        after = [
            number
            for ranges, number in automaton.steps[state]
            if any(first <= code <= last for first, last in ranges)
        ]
        if not after:
            return False
        (state,) = after
    return state in automaton.ends


def test_assertions_alone_need_an_automaton():
    assert is_plain(language("^a|b$"))
    assert not is_plain(language("^(?!a)b"))


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        (r"^\p{L}+$", "Größe", "a1"),
        (r"^\P{L}+$", "12", "é"),
        (r"^\w$", "a", "é"),
        (r"^\W$", "-", "é"),
        (r"^\D$", "x", "٣"),
        (r"^é\x41\u{42}$", "éAB", "éA"),
        (r"^(?<year>\d)$", "1", "a"),
    ],
)
def test_classes_hold_what_all_dialects_agree_on(pattern, inside, outside):
    assert holds(language(pattern), inside)
    assert not holds(language(pattern), outside)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a(?<=b)", r"'\(\?<='"),
        (r"(a)\1", r"'\\1'"),
        (r"\bword", r"'\\b'"),
        ("(a", r"'\(' without '\)'"),
        ("a)", r"'\)'"),
        ("[a", r"'\[' without '\]'"),
        ("*a", r"'\*' without a part"),
        ("a{1001}", "1,001 repetitions"),
        ("(?:(?!a)b)*", "an assertion inside of a repetition"),
        ("(" * 5000 + ")" * 5000, "too deeply nested"),
    ],
)
def test_what_has_no_translation_is_named(pattern, reason):
    with pytest.raises(UnsupportedPattern, match=reason):
        language(pattern)
