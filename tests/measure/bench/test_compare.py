from __future__ import annotations

from dataclasses import replace

import pytest

from aipc.errors import MeasurementError
from aipc.measure.bench.compare import between, within


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
