from __future__ import annotations

import numpy as np
import pytest
from answering import Answering

from aipc.measure.quality.agreement import measure_agreement
from aipc.measure.quality.passages import cut_ids
from aipc.measure.quality.reference_logprobs import make_truth
from aipc.runtimes.fake_scorer import FakeScorer

IDS = [int(token) for token in np.random.default_rng(5).integers(0, 260, 300)]
WINDOWS = list(cut_ids(IDS, 250, 40, 8))


@pytest.fixture
def truth(tmp_path):
    return make_truth(tmp_path, "key", FakeScorer(), WINDOWS)


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
    expected = {"max_new_tokens": 1, "temperature": 0.0, "repetition_penalty": 1.0, "stop_ids": ()}
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
