from __future__ import annotations

import pytest

from aipc.errors import UsageError
from aipc.runtimes.prompt_lookup import LookupText, PromptLookup, read_lookup


@pytest.mark.parametrize(
    ("properties", "lookup"),
    [
        ({}, None),
        ({"prompt_lookup": "NO"}, None),
        ({"prompt_lookup": "YES"}, PromptLookup(5, 3)),
        ({"prompt_lookup": "true", "max_ngram_size": "2"}, PromptLookup(5, 2)),
        ({"prompt_lookup": "1", "num_assistant_tokens": "9"}, PromptLookup(9, 3)),
    ],
)
def test_properties_say_whether_and_how_far(properties, lookup):
    assert read_lookup(properties) == lookup


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"prompt_lookup": "maybe"}, "takes YES or NO, not 'maybe'"),
        ({"max_ngram_size": "3"}, "is for prompt lookup; give prompt_lookup=YES as well"),
        ({"prompt_lookup": "YES", "num_assistant_tokens": "0"}, "from 1 to 100, not '0'"),
        ({"prompt_lookup": "YES", "max_ngram_size": "x"}, "from 1 to 100, not 'x'"),
    ],
)
def test_what_can_not_be_meant_is_refused(properties, message):
    with pytest.raises(UsageError, match=message):
        read_lookup(properties)


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ([1, 2, 3], []),
        ([1, 2, 3, 4, 1, 2], [3, 4, 1]),
        ([7, 2, 8, 1, 2, 9, 1, 2], [9, 1, 2]),  # the longest ending, and where it was last
        ([5, 5], [5]),
        ([], []),
    ],
)
def test_what_followed_the_same_tokens_is_guessed(text, guess):
    assert LookupText(PromptLookup(3, 2), text).guess() == guess
