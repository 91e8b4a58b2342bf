from __future__ import annotations

from dataclasses import replace

import pytest

from aipc.measure.bench.figures import cold_first_token, figures
from aipc.measure.bench.result import Limits, Needs, Rate
from aipc.measure.bench.workload import Case

CASE = Case(32, 5, 1)
NEEDS = Needs(weight_bytes=1000, cache_bytes_per_token=10, operations_per_token=50)
LIMITS = Limits(Rate(13_450.0, "told"), Rate(16_000.0, "told"))


def participant(outcome, samples, **fields):
    [found] = outcome(aipc=samples).participants
    artifact = replace(found.artifact, needs=NEEDS)
    return replace(found, artifact=artifact, **fields)


def test_medians_over_the_warm_samples_alone(outcome, sample):
    taken = [sample(9.0, 5.0, tokens=2, cold=True), sample(0.2, 0.1), sample(0.4, 0.1)]
    found = figures(participant(outcome, taken), CASE, LIMITS)
    assert found.first_token_s == pytest.approx(0.3)
    assert found.prefill_per_s == pytest.approx(32 / 0.3)
    assert found.step_s == pytest.approx(0.1)
    assert found.decode_per_s == pytest.approx(10)
    assert found.throughput_per_s == pytest.approx((5 / 0.6 + 5 / 0.8) / 2)


def test_the_cold_first_token_is_kept_apart(outcome, sample):
    taken = [sample(9.0, 5.0, tokens=2, cold=True), sample(0.2, 0.1)]
    assert cold_first_token(participant(outcome, taken)) == 9.0
    assert cold_first_token(participant(outcome, taken[1:])) is None


def test_shares_of_the_limits(outcome, sample):
    found = figures(participant(outcome, [sample(0.2, 0.2)]), CASE, LIMITS)
    # a step reads 1000 + 10 * (32 + 2.5) bytes: 0.1 s; the prompt has 32 * 50 operations: 0.1 s
    assert found.decode_share == pytest.approx(0.5)
    assert found.prefill_share == pytest.approx(0.5)


def test_what_was_not_measured_is_none(outcome, sample):
    found = figures(participant(outcome, [sample(0.2, 0.2)]), CASE, Limits(None, None))
    assert (found.decode_share, found.prefill_share, found.energy_per_token_j) == (None,) * 3
    assert figures(participant(outcome, []), CASE, LIMITS) is None


def test_energy_of_all_samples_over_all_their_tokens(outcome, sample):
    taken = [sample(0.2, 0.1, energy_j=0.0), sample(0.2, 0.1, energy_j=20.0)]
    assert figures(participant(outcome, taken), CASE, LIMITS).energy_per_token_j == 2.0
    taken.append(sample(0.2, 0.1))  # the counter fell silent
    assert figures(participant(outcome, taken), CASE, LIMITS).energy_per_token_j is None


def test_a_batch_counts_all_its_sequences(outcome, sample):
    times = ((1.0, 2.0, 3.0, 4.0, 5.0), (2.0, 3.0, 4.0, 5.0, 6.0))
    both = sample(0.0, 0.0, batch=2, times=times, seconds=6.0)
    found = figures(participant(outcome, [both]), Case(32, 5, 2), LIMITS)
    assert found.first_token_s == 2.0
    assert found.prefill_per_s == 32.0
    assert found.decode_per_s == pytest.approx(8 / 5)
    assert found.throughput_per_s == pytest.approx(10 / 6)


def test_tokens_that_arrive_together_share_their_time(outcome, sample):
    times = ((1.0, 1.0, 2.0, 4.0, 4.0),)
    found = figures(
        participant(outcome, [sample(0.0, 0.0, times=times, seconds=4.0)]), CASE, LIMITS
    )
    assert found.step_s == 1.0  # 1, then 2 seconds for two of them
    assert found.decode_per_s == pytest.approx(3 / 3)
    assert found.first_token_s == 1.0


def test_an_answer_that_comes_all_at_once_has_no_steps(outcome, sample):
    found = figures(participant(outcome, [sample(1.0, 0.0)]), CASE, LIMITS)
    assert (found.step_s, found.decode_per_s, found.decode_share) == (None, None, None)
    assert found.throughput_per_s == 5.0
