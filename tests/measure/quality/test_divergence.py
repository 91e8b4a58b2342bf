"""The figures against their definitions, on fakes whose distributions are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from answering import Answering

from aipc.errors import MeasurementError
from aipc.generate import GREEDY
from aipc.measure.quality.divergence import (
    compare,
    continued,
    judged,
    log_softmax,
    measure_agreement,
)
from aipc.measure.quality.passages import cut_ids
from aipc.measure.quality.reference import compute_logprobs, find_logprobs
from aipc.runtimes.fake import FakeScorer

IDS = [int(token) for token in np.random.default_rng(5).integers(0, 260, 300)]
WINDOWS = list(cut_ids(IDS, 250, 40, 8))


def kept(folder, scorer):
    return compute_logprobs(folder, "key", scorer, WINDOWS)


def distributions(scorer):
    """Of what follows each of the 250 tokens, in float64 and by the definition."""
    scores = scorer._scores[IDS[:250]].astype(np.float64)
    exponentials = np.exp(scores)
    return exponentials / exponentials.sum(-1, keepdims=True)


def test_every_figure_is_what_its_definition_says(tmp_path):
    model, original = FakeScorer(noise=0.3), FakeScorer()
    found = compare(model, WINDOWS, kept(tmp_path, original))
    p, q = distributions(original), distributions(model)
    following = np.array(IDS[1:251])
    np.testing.assert_allclose(found.loss, -np.log(q[np.arange(250), following]), rtol=1e-4)
    np.testing.assert_allclose(found.kl.mean(), (p * np.log(p / q)).sum(-1).mean(), rtol=1e-3)
    same = p.argmax(-1) == q.argmax(-1)
    assert 0.2 < same.mean() < 0.98
    assert abs((found.rank < 1).mean() - same.mean()) <= 0.01  # two may tie in float16
    five = [best in np.argsort(row)[-5:] for best, row in zip(q.argmax(-1), p, strict=True)]
    assert abs((found.rank < 5).mean() - np.mean(five)) <= 0.01


def test_a_model_does_not_diverge_from_itself(tmp_path):
    found = compare(FakeScorer(), WINDOWS, kept(tmp_path, FakeScorer()))
    assert abs(found.kl.mean()) < 1e-5
    assert (found.rank == 0).all()
    np.testing.assert_allclose(found.loss, found.reference_loss, atol=5e-3)


def test_without_a_reference_only_the_text_judges():
    found = compare(FakeScorer(), WINDOWS, None)
    assert len(found) == 250
    assert len(found.kl) == len(found.rank) == len(found.reference_loss) == 0


def test_no_more_than_a_few_rows_are_held_at_once():
    rows = [scores.shape[0] for scores, _ in judged(FakeScorer(piece=64), WINDOWS)]
    assert max(rows) <= 16
    assert sum(rows) == 250


def test_another_vocabulary_is_refused(tmp_path):
    truth = kept(tmp_path, FakeScorer(vocabulary=261))
    with pytest.raises(MeasurementError, match="vocabulary of 260 and the reference one of 261"):
        compare(FakeScorer(), WINDOWS, truth)


def test_scores_that_are_no_numbers_are_refused():
    broken = FakeScorer()
    broken._scores[:, 3] = np.nan
    with pytest.raises(MeasurementError, match="no numbers at 250 of 250 positions"):
        compare(broken, WINDOWS, None)


def test_tokens_that_can_not_come_do_no_harm(tmp_path):
    masked = FakeScorer()
    masked._scores[:, 250:] = -np.inf
    found = compare(masked, WINDOWS, kept(tmp_path, masked))
    assert abs(found.kl.mean()) < 1e-4


def test_the_references_answers_are_computed_once_and_the_oldest_forgotten(tmp_path):
    assert find_logprobs(tmp_path, "key") is None
    made = kept(tmp_path, FakeScorer())
    assert made.dtype == np.float16
    assert made.shape == (250, 260)
    np.testing.assert_array_equal(find_logprobs(tmp_path, "key"), made)
    for other in "abc":
        compute_logprobs(tmp_path, other, FakeScorer(), WINDOWS)
    assert find_logprobs(tmp_path, "key") is None
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.npy", "b.npy", "c.npy"]


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_a_continuation_is_as_likely_as_its_tokens_together(piece):
    scorer = FakeScorer(piece=piece)
    logs = log_softmax(scorer._scores.copy())
    found = continued(scorer, IDS[:10], IDS[10:25])
    expected = sum(logs[a, b] for a, b in itertools.pairwise(IDS[9:25]))
    assert found.logprob == pytest.approx(expected, rel=1e-5)
    assert not found.greedy
    best = int(scorer._scores[IDS[9]].argmax())
    assert continued(scorer, IDS[:10], [best]).greedy


@pytest.fixture
def truth(tmp_path):
    return kept(tmp_path, FakeScorer())


def greedy(scorer):
    return lambda prompt: int(scorer._scores[prompt[-1]].argmax())


def test_a_model_that_answers_as_the_reference_agrees_everywhere(truth):
    session = Answering(greedy(FakeScorer()))
    found = measure_agreement(session, WINDOWS, truth, 50)
    assert found.places == 50
    assert found.top1.middle == 1.0
    assert 0.9 < found.top1.low < 1.0
    assert len(set(session.asked)) == 50
    assert all(len(prompt) < 40 for prompt in session.asked)
    expected = {"max_new_tokens": 1, **GREEDY, "stop_ids": ()}
    assert all(options == expected for options in session.options)


def test_the_estimate_holds_the_share_that_all_places_have(truth):
    other = FakeScorer(noise=0.3)
    all_of_them = measure_agreement(Answering(greedy(other)), WINDOWS, truth, 250)
    some = measure_agreement(Answering(greedy(other)), WINDOWS, truth, 60)
    same = (FakeScorer()._scores.argmax(-1) == other._scores.argmax(-1))[IDS[:250]].mean()
    assert all_of_them.top1.middle == pytest.approx(same, abs=0.01)
    assert some.top1.low < same < some.top1.high
    assert 0.2 < same < 0.98


def test_a_text_with_fewer_places_is_asked_at_each_once(truth):
    found = measure_agreement(Answering(greedy(FakeScorer())), WINDOWS, truth, 10_000)
    assert found.places == 250
