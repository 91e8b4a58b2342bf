from __future__ import annotations

import json

import pytest

from aipc.choose.measured import Fingerprint, Records, SetupFigures, Trial, Tuned, Work
from aipc.choose.setup import Setup
from aipc.convert.recipe import Recipe
from aipc.errors import MeasurementError
from aipc.measure.tune.goal import TuneOptions
from aipc.measure.tune.tune import Tuning
from aipc.measure.tune.verdict import NO_TIME, Skipped, TuningOutcome

F32 = {"INFERENCE_PRECISION_HINT": "f32"}
DEFAULT = Trial(
    Setup("openvino", "CPU", Recipe("int4"), {}),
    SetupFigures(4.2, 0.231, 2_070_000_000, 3, 0.04, kl=0.2),
)
CHOICE = Trial(
    Setup("openvino", "CPU", Recipe("int4"), F32),
    SetupFigures(3.1, 0.131, 2_070_000_000, 3, 0.02, kl=0.19),
    frontier=True,
)
PROBED = Trial(Setup("onnx", "CPU", Recipe("int4"), {}), SetupFigures(26.0, 0.38, 2_100_000_000))
SKIPPED = Skipped(Setup("openvino", "CPU", Recipe("int8"), {}), NO_TIME)


def tuning(model="org--model--main"):
    trials = (DEFAULT, CHOICE, PROBED)
    tuned = Tuned(
        model=model,
        label="org/model",
        goal="latency",
        work=Work(),
        when="2026-11-22T10:00:00+00:00",
        machine=Fingerprint("A CPU", 2, {}, {}),
        choice=CHOICE,
        gain=1.72,
        trials=trials,
    )
    verdict = "1.72 times as good as the default choice (1.69 to 1.75 in 3 rounds)"
    outcome = TuningOutcome(CHOICE, DEFAULT, 1.72, verdict, trials, (SKIPPED,), 412.0)
    return Tuning(outcome, tuned)


@pytest.fixture
def measured(monkeypatch):
    """Put a finished tuning in the place of measuring; what it was asked is kept."""
    asked = {}

    def tune(name, goal, options, **others):
        asked.update(name=name, goal=goal, options=options, **others)
        return tuning()

    monkeypatch.setattr("aipc.measure.tune.tune.tune", tune)
    return asked


def test_the_table_has_candidates_frontier_choice_and_reason(aipc, measured) -> None:
    outcome = aipc("tune", "org/model", "--max-kl", "0.3", "--budget", "90s", "--device", "cpu")
    assert outcome.status == 0
    assert measured["name"] == "org/model"
    assert (measured["goal"], measured["device"]) == ("latency", "cpu")
    assert measured["options"] == TuneOptions(budget="90s", max_kl=0.3)
    lines = outcome.stdout.splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert lines[0].split() == ["FIRST", "A", "TOKEN", "KL", "SIZE", "RUNS", "SETUP"]
    (chosen,) = [line for line in lines if line.startswith(">") and "cpu" in line]
    assert chosen.startswith("> *   3.10 s  131.0 ms  0.19  2.1 GB  3 ±2%  cpu openvino int4-g128")
    (probed,) = [line for line in lines if "cpu onnx" in line]
    assert " - " in probed
    told = " ".join(outcome.stdout.split())
    assert f"not compared, {NO_TIME}: cpu openvino int8-sym" in told
    assert "1.72 times as good as the default choice (1.69 to 1.75 in 3 rounds)" in told
    assert "--ov-config INFERENCE_PRECISION_HINT=f32" in told


def test_json_has_every_figure(aipc, measured) -> None:
    told = json.loads(aipc("tune", "org/model", "--json").stdout)
    assert told["choice"]["figures"]["token_s"] == 0.131
    assert told["default"]["setup"]["properties"] == {}
    assert told["trials"][2]["figures"]["kl"] is None
    assert told["skipped"][0]["why"] == NO_TIME


def test_interrupted_it_says_that_nothing_is_kept(aipc, monkeypatch) -> None:
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("aipc.measure.tune.tune.tune", interrupt)
    outcome = aipc("tune", "org/model")
    assert outcome.status == 130
    assert "interrupted: nothing is kept" in outcome.stderr


def test_without_a_counter_energy_is_one_line(aipc, monkeypatch) -> None:
    def refuse(*arguments, **options):
        raise MeasurementError("no energy counter here", "tune for latency")

    monkeypatch.setattr("aipc.measure.tune.tune.tune", refuse)
    outcome = aipc("tune", "org/model", "--for", "energy")
    assert outcome.status == 1
    assert outcome.stderr.splitlines()[-1] == ("aipc: no energy counter here; tune for latency")


def test_records_are_listed_and_forgotten(aipc, tmp_path) -> None:
    outcome = aipc("tune", "--list")
    assert "nothing is tuned" in outcome.stderr
    records = Records(tmp_path / "home" / "tuned")
    records.save(tuning().tuned)
    (tmp_path / "home" / "tuned" / "broken.json").write_text("{")
    outcome = aipc("tune", "--list")
    row = outcome.stdout.splitlines()[1]
    assert row.split() == [
        *("latency", "2026-11-22", "1.72", "cpu", "openvino", "int4-g128-sym", "org/model")
    ]
    assert "problem: what was tuned can't be read" in outcome.stderr
    listed = json.loads(aipc("tune", "--list", "--json").stdout)["tuned"]
    assert [one["label"] for one in listed] == ["org/model"]
    assert aipc("tune", "--forget", "org/model").status == 0
    assert records.find("org--model--main") is None
    assert aipc("tune", "--forget", "org/model").status == 1


def test_wrong_usage(aipc) -> None:
    assert "no model was named" in aipc("tune").stderr
    assert aipc("tune", "m", "--for", "beauty").status == 2
    assert "is no time" in aipc("tune", "m", "--budget", "soon").stderr
