"""What drawing explains, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from aipc.choose.shortfall import shortfall_of, shortfalls
from aipc.runtimes.base import Decoding
from aipc.runtimes.sampler import Sampler

VOCABULARY, PROMPT, TOKENS = 50, [1, 2, 3], 400


class Judge:
    """Scores that depend on the place alone, in pieces."""

    def __init__(self):
        self._scores = np.random.default_rng(3).normal(0, 3, (TOKENS + 8, VOCABULARY))
        self._scores = self._scores.astype(np.float32)

    def logits(self, ids):
        for start in range(0, len(ids), 7):
            yield self._scores[start : min(start + 7, len(ids))]

    def drawn(self, temperature):
        rows = self._scores[len(PROMPT) - 1 :][:TOKENS]
        if not temperature:
            return [int(row.argmax()) for row in rows]
        noise = np.random.default_rng(4).gumbel(size=rows.shape)
        return [int(token) for token in (rows / temperature + noise).argmax(axis=1)]


@pytest.fixture
def judge():
    return Judge()


def test_the_judge_s_own_choice_falls_short_by_nothing(judge):
    tokens = judge.drawn(0)
    assert set(shortfalls(judge, PROMPT, tokens)) == {0.0}
    found = shortfall_of(judge, PROMPT, tokens, Decoding(9))
    assert (found.mean, found.spread, found.tokens, found.is_wrong) == (0.0, 0.0, TOKENS, False)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.5])
def test_what_was_drawn_falls_short_as_foretold(judge, temperature):
    found = shortfall_of(judge, PROMPT, judge.drawn(temperature), Decoding(9, temperature))
    assert abs(found.mean) < 4 * found.spread
    assert not found.is_wrong


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_tokens_of_another_place_are_wrong(judge, temperature):
    tokens = judge.drawn(temperature)
    assert shortfall_of(judge, PROMPT, [*tokens[1:], 0], Decoding(9, temperature)).is_wrong


def test_scores_that_are_no_numbers_are_wrong(judge):
    judge._scores[:] = np.nan
    assert shortfall_of(judge, PROMPT, judge.drawn(0), Decoding(9)).is_wrong


def test_penalties_are_counted_as_the_device_counts_them(judge):
    asked = Decoding(9, repetition_penalty=1.8, presence_penalty=1.0, frequency_penalty=0.5)
    sampler = Sampler(asked, PROMPT)
    tokens = [sampler.choose(row) for row in judge._scores[len(PROMPT) - 1 :][:TOKENS]]
    assert shortfall_of(judge, PROMPT, tokens, asked).mean == pytest.approx(0, abs=1e-5)
    assert shortfall_of(judge, PROMPT, tokens, Decoding(9)).mean > 0.1
