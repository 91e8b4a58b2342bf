from __future__ import annotations

import pytest

from aipc.errors import MeasurementError
from aipc.measure.bench.noise import Listener
from aipc.measure.bench.result import Workload
from aipc.measure.bench.round_robin import RoundRobin, RunningParticipant
from aipc.measure.bench.runner import LoadResult, RunResult
from aipc.measure.bench.workload import RandomPrompts

WORKLOAD = Workload(prompts=(4, 8), outputs=(3,), batches=(1, 2), repeats=2, seed=1)


class FakeRunner:
    """Writes down what it is told in a log that all share; fails for batches beyond ``most``."""

    def __init__(self, name, log, most=99, broken=False):
        self.name, self.log, self.most, self.broken = name, log, most, broken
        self.is_closed = False

    def load(self):
        self.log.append((self.name, "load"))
        if self.broken:
            raise MeasurementError("it is broken")
        return LoadResult(1.5, 1000, {"device": "CPU"})

    def run(self, prompts, tokens):
        assert not self.is_closed
        self.log.append((self.name, tuple(map(tuple, prompts)), tokens))
        if len(prompts) > self.most:
            raise MeasurementError(f"{self.name} has no batches")
        times = tuple(tuple(float(at + 1) for at in range(tokens)) for _ in prompts)
        return RunResult(times, float(tokens), 0.5, 2000)

    def close(self):
        self.is_closed = True


class Meter:
    name = "package"

    def __init__(self):
        self.drawn = 0.0

    def joules(self):
        self.drawn += 7.0
        return self.drawn


def hold(participants, energy=None, loads=1):
    prompts = RandomPrompts(1000, lambda _: False, 1)
    with RoundRobin(participants, WORKLOAD, prompts, Listener(()), energy, lambda _: None) as turns:
        turns.load(loads)
        turns.run()


def participant(name, log, **fields):
    required = fields.pop("required", False)
    return RunningParticipant(name, lambda: FakeRunner(name, log, **fields), required)


def test_all_get_the_same_prompts_in_turn_and_the_first_changes():
    log = []
    ours, theirs = participant("ours", log), participant("theirs", log)
    hold([ours, theirs])
    runs = [entry for entry in log if entry[-1] == 3]
    assert [entry[0] for entry in runs] == ["ours", "theirs", "theirs", "ours"] * 4
    for one, other in zip(runs[::2], runs[1::2], strict=True):
        assert one[1:] == other[1:]
    assert len(ours.samples) == len(theirs.samples) == 1 + 4 * 2


def test_no_prompt_that_was_run_before_is_measured():
    log = []
    hold([participant("ours", log)], loads=2)
    prompts = [prompt for entry in log if entry[1] != "load" for prompt in entry[1]]
    assert len(set(prompts)) == len(prompts)


def test_the_cold_first_run_is_a_sample_of_its_own_after_each_load():
    only = participant("ours", [])
    hold([only], loads=3)
    cold = [sample for sample in only.samples if sample.cold]
    assert [sample.repeat for sample in cold] == [0, 1, 2]
    assert [load.seconds for load in only.loads] == [1.5] * 3
    assert only.peak_memory_bytes == 2000


def test_a_peer_that_can_not_run_a_case_runs_the_others():
    log = []
    ours, theirs = participant("ours", log), participant("theirs", log, most=1)
    hold([ours, theirs])
    assert {sample.batch for sample in theirs.samples} == {1}
    assert {sample.batch for sample in ours.samples} == {1, 2}
    assert theirs.failure == "theirs has no batches"


def test_a_peer_that_does_not_load_is_left_out_and_aipc_itself_is_not():
    log = []
    ours, theirs = participant("ours", log), participant("theirs", log, broken=True)
    hold([ours, theirs])
    assert (theirs.samples, theirs.failure) == ([], "it is broken")
    assert ours.failure is None
    with pytest.raises(MeasurementError, match="it is broken"):
        hold([participant("ours", log, broken=True, required=True)])


def test_processes_end_when_the_contest_fails():
    runners = []

    def make():
        runners.append(FakeRunner("ours", [], most=1))
        return runners[-1]

    with pytest.raises(MeasurementError):
        hold([RunningParticipant("ours", make, required=True)])
    assert all(runner.is_closed for runner in runners)


def test_energy_is_the_counters_growth_and_absent_without_one():
    counted, silent = participant("ours", []), participant("ours", [])
    hold([counted], Meter())
    hold([silent])
    assert {sample.energy_j for sample in counted.samples} == {7.0}
    assert {sample.energy_j for sample in silent.samples} == {None}
