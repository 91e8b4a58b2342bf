from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from aipc.runtimes.base import Decoding
from aipc.runtimes.sampler import Sampler, logprobs_of

SHARES = np.array([0.4, 0.3, 0.2, 0.1])
SCORES = np.log(SHARES).astype(np.float32)


def counts(draws=4000, scores=SCORES, prompt=(), **decoding):
    sampler = Sampler(Decoding(draws, **({"temperature": 1.0} | decoding)), prompt)
    return Counter(sampler.choose(scores) for _ in range(draws))


def shares(**decoding):
    found = counts(**decoding)
    return np.array([found[token] for token in range(4)]) / found.total()


def test_greedy_takes_the_highest():
    assert counts(9, temperature=0.0) == {0: 9}


def test_samples_follow_the_scores():
    assert np.abs(shares() - SHARES).max() < 0.03


def test_temperature_sharpens_and_flattens():
    for temperature in (0.5, 2.0):
        expected = SHARES ** (1 / temperature)
        assert np.abs(shares(temperature=temperature) - expected / expected.sum()).max() < 0.03


def test_top_k_keeps_the_likeliest():
    assert np.abs(shares(top_k=2) - [4 / 7, 3 / 7, 0, 0]).max() < 0.03
    assert set(counts(200, top_k=1)) == {0}
    assert set(counts(2000, top_k=99)) == {0, 1, 2, 3}


@pytest.mark.parametrize(("top_p", "kept"), [(0.39, {0}), (0.5, {0, 1}), (0.85, {0, 1, 2})])
def test_top_p_keeps_the_smallest_set_that_holds_the_share(top_p, kept):
    assert set(counts(top_p=top_p)) == kept


def test_top_p_counts_what_top_k_left():
    # of the first three, 4/9 + 3/9 hold 0.75
    assert set(counts(top_k=3, top_p=0.75)) == {0, 1}


def test_the_same_seed_makes_the_same_choices():
    def drawn(seed):
        sampler = Sampler(Decoding(30, temperature=1.0, seed=seed), ())
        return [sampler.choose(SCORES) for _ in range(30)]

    assert drawn(4) == drawn(4)
    assert drawn(4) != drawn(5)


def test_repetition_penalty_divides_what_was_seen_in_prompt_and_answer():
    sampler = Sampler(Decoding(9, repetition_penalty=2.0), [0])
    scores = np.array([3.0, 2.0, 1.2, -1.0], np.float32)
    before = scores.copy()
    # 3/2 < 2, then 2/2 < 3/2, and from there nothing new is higher
    assert [sampler.choose(scores) for _ in range(3)] == [1, 0, 0]
    assert (scores == before).all()


def test_repetition_penalty_lowers_negative_scores_too():
    sampler = Sampler(Decoding(9, repetition_penalty=2.0), [0, 12345])
    assert sampler.choose(np.array([-1.0, -1.5], np.float32)) == 1


def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest():
    assert set(counts(min_p=0.45)) == {0, 1, 2}
    assert set(counts(min_p=0.76)) == {0}
    assert set(counts(200, min_p=1.0)) == {0}
    # 0.3 / 0.4 is 0.75, and at a temperature of 2 its square root
    assert set(counts(min_p=0.8, temperature=2.0)) == {0, 1}


@pytest.mark.parametrize("kept", [{"top_p": 0.65}, {"top_k": 2}, {"min_p": 0.7}])
def test_the_tightest_of_the_limits_counts(kept):
    loose = {"top_p": 0.85, "top_k": 3, "min_p": 0.3}
    assert set(counts(**{**loose, **kept})) == {0, 1}


def choices(count, scores, prompt=(), **decoding):
    sampler = Sampler(Decoding(count, **decoding), prompt)
    return [sampler.choose(np.array(scores, np.float32)) for _ in range(count)]


def test_presence_penalty_is_taken_once_from_what_the_answer_has():
    assert choices(4, [3.0, 2.0, 1.5], prompt=[0], presence_penalty=1.25) == [0, 1, 0, 0]
    assert choices(3, [-1.0, -2.0, -2.5], presence_penalty=1.25) == [0, 1, 0]


def test_frequency_penalty_is_taken_each_time():
    # 3, 2 | 2.4, 2 | 1.8, 2 | 1.8, 1.4 | 1.2, 1.4
    assert choices(5, [3.0, 2.0], prompt=[1, 1, 1], frequency_penalty=0.6) == [0, 0, 1, 0, 1]


def test_a_negative_penalty_raises():
    assert choices(3, [1.0, 0.9], prompt=[1], frequency_penalty=-0.5) == [0, 0, 0]
    sampler = Sampler(Decoding(1, presence_penalty=-2.0), [])
    sampler.note(1)
    assert sampler.choose(np.array([1.0, -0.5], np.float32)) == 1


def test_the_repetition_penalty_comes_first():
    # 4 / 2 - 1 is 1; subtracted first it would be 1.5
    scores = [4.0, 1.25]
    penalties = {"repetition_penalty": 2.0, "presence_penalty": 1.0}
    assert choices(2, scores, **penalties) == [0, 1]


def ranked_shares(allowed, **decoding):
    sampler = Sampler(Decoding(4000, **({"temperature": 1.0} | decoding)), ())
    found = Counter(allowed[int(sampler.rank(SCORES)[allowed].argmax())] for _ in range(4000))
    return np.array([found[token] for token in range(4)]) / 4000


def test_the_highest_rank_is_a_sample_of_whatever_is_allowed():
    assert np.abs(ranked_shares([0, 1, 2, 3]) - SHARES).max() < 0.03
    assert np.abs(ranked_shares([1, 3]) - [0, 0.75, 0, 0.25]).max() < 0.03
    assert np.abs(ranked_shares([0, 1, 2, 3], top_k=2) - [4 / 7, 3 / 7, 0, 0]).max() < 0.03
    assert np.abs(ranked_shares([0, 1, 2, 3], min_p=0.6) - [4 / 7, 3 / 7, 0, 0]).max() < 0.03
    assert np.abs(ranked_shares([0, 1, 2, 3], temperature=0.0) - [1, 0, 0, 0]).max() == 0


def test_a_rank_without_any_kept_token_falls_back_on_the_rest():
    assert np.abs(ranked_shares([2, 3], top_k=2) - [0, 0, 2 / 3, 1 / 3]).max() < 0.03
    assert np.abs(ranked_shares([1, 3], top_p=0.3) - [0, 0.75, 0, 0.25]).max() < 0.03


def test_logprob_is_a_softmax_of_the_scores():
    assert [logprobs_of(SCORES + 50, token, 0)[0] for token in range(4)] == pytest.approx(
        np.log(SHARES)
    )
    assert logprobs_of(np.array([0, -1e30], np.float32), 0, 0)[0] == 0


def test_alternatives_are_the_likeliest_in_their_order():
    scores = np.log(np.array([0.1, 0.4, 0.2, 0.2, 0.1])).astype(np.float32)
    chosen, top = logprobs_of(scores, 4, 3)
    assert [token for token, _ in top] == [1, 2, 3]  # of equals, the first
    assert np.exp([value for _, value in top]) == pytest.approx([0.4, 0.2, 0.2])
    assert np.exp(chosen) == pytest.approx(0.1)
    assert logprobs_of(scores, 1, 9)[1][0] == (1, logprobs_of(scores, 1, 0)[0])


def test_a_bias_lifts_or_bans_a_token_also_when_greedy():
    assert counts(9, temperature=0.0, logit_bias=((2, 5.0),)) == {2: 9}
    assert 0 not in counts(2000, logit_bias=((0, -100.0),))
    biased = SHARES * [1, 1, 1, 4]
    assert np.abs(shares(logit_bias=((3, np.log(4)),)) - biased / biased.sum()).max() < 0.03
    sampler = Sampler(Decoding(1, logit_bias=((2, 5.0),)), ())
    assert sampler.rank(SCORES).argmax() == 2
    assert SCORES.argmax() == 0  # left unchanged
