from __future__ import annotations

from dataclasses import replace

import pytest

from aipc.errors import MeasurementError
from aipc.measure.bench.figures import between, cold_first_token, figures, within
from aipc.measure.bench.result import Needs
from aipc.measure.bench.workload import Case
from aipc.runtimes.limits import Limits, Rate

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


def by_what(ratios):
    return {ratio.what: ratio.times for ratio in ratios}


def test_pairs_of_neighbors_cancel_a_drift_of_the_machine(outcome, sample):
    drift = [1.0, 4.0, 2.0, 1.5, 8.0, 3.0]
    ours = [sample(0.1 * slow, 0.1 * slow, repeat=at) for at, slow in enumerate(drift)]
    theirs = [sample(0.2 * slow, 0.15 * slow, repeat=at) for at, slow in enumerate(drift)]
    found = by_what(within(outcome(aipc=ours, peer=theirs)))
    assert found["first token"].middle == pytest.approx(2.0)
    assert found["decode"].low == pytest.approx(1.5)
    assert found["decode"].high == pytest.approx(1.5)
    assert found["decode"].confidence > 0.95
    assert found["load"].middle == 1.0


def test_cold_runs_are_compared_apart(outcome, sample):
    ours = [sample(6.0, 1.0, tokens=2, cold=True), sample(1.0, 1.0)]
    theirs = [sample(2.0, 1.0, tokens=2, cold=True), sample(1.0, 1.0)]
    found = by_what(within(outcome(aipc=ours, peer=theirs)))
    assert found["cold first token"].middle == pytest.approx(1 / 3)
    assert found["first token"].middle == 1.0


def test_a_repeat_that_one_of_them_lacks_makes_no_pair(outcome, sample):
    ours = [sample(1.0, 1.0, repeat=0), sample(1.0, 9.0, repeat=1)]
    found = by_what(within(outcome(aipc=ours, peer=[sample(1.0, 2.0, repeat=0)])))
    assert found["decode"].middle == 2.0


def test_two_results_of_one_machine(outcome, sample):
    before = outcome(aipc=[sample(1.0, 0.2 + at / 1000, repeat=at) for at in range(6)])
    after = outcome(aipc=[sample(1.0, 0.1 + at / 1000, repeat=at) for at in range(6)])
    found = between(after, before)
    assert by_what(found.ratios)["decode"].middle == pytest.approx(2.0, rel=0.05)
    assert by_what(found.ratios)["decode"].low > 1.8
    assert found.notes == ()


def test_a_result_compared_with_itself_is_as_fast(example):
    for ratio in between(example, example).ratios:
        assert ratio.times.low <= 1 <= ratio.times.high


def test_other_machines_and_artifacts_are_labelled(outcome, sample):
    one = outcome(aipc=[sample(1.0, 0.1)])
    participant = one.participants[0]
    other = replace(
        one,
        machine=replace(one.machine, processor="another"),
        participants=(replace(participant, artifact=replace(participant.artifact, sha256="0")),),
    )
    notes = between(one, other).notes
    assert any("the machines differ in processor" in note for note in notes)
    assert any("aipc ran" in note for note in notes)


def test_results_without_a_common_participant_or_case_are_refused(outcome, sample):
    one, other = outcome(aipc=[sample(1.0, 0.1)]), outcome(peer=[sample(1.0, 0.1)])
    with pytest.raises(MeasurementError, match="no participant in common"):
        between(one, other)
    longer = replace(one, workload=replace(one.workload, prompts=(64,)))
    with pytest.raises(MeasurementError, match="no case in common"):
        between(one, longer)
