"""Tuning for real: the small model, a few seconds, this machine."""

from __future__ import annotations

import pytest
from tiny_encoder import write_reader

from aipc.choose.measured import Records
from aipc.choose.runtime_device import runtime_devices
from aipc.convert.recipe import Recipe
from aipc.devices import Device
from aipc.errors import ArtifactError, MeasurementError, UsageError
from aipc.measure.tune import tune as module
from aipc.measure.tune.bench import ProcessBench
from aipc.measure.tune.candidates import recipes
from aipc.measure.tune.goal import TuneOptions
from aipc.measure.tune.tune import tune
from aipc.models import names
from aipc.models.store import Store
from aipc.session.convert import convert
from aipc.session.place import SessionOptions
from aipc.session.prepare import prepare_session

CPU = Device("CPU", "cpu", "A CPU", runtimes=("openvino",))
SHORT = TuneOptions(budget="20s", prompt=16, tokens=8)


@pytest.fixture(scope="module")
def artifact(smollm_gguf, small_store):
    return convert(str(smollm_gguf), Recipe("int4"), store=small_store).path


def test_a_model_that_writes_no_text_is_refused_before_anything_is_measured(tmp_path):
    folder = write_reader(tmp_path / "e5", "bert", modules=["Pooling"])
    with pytest.raises(ArtifactError, match="makes embeddings and writes no text; use `aipc embed"):
        tune(str(folder), "latency", SHORT, store=Store(tmp_path / "home"), notify=str)


def test_what_is_measured_is_kept_and_used(artifact, tmp_path):
    store, told = Store(tmp_path), []
    options = TuneOptions(budget="60s", prompt=16, tokens=8)  # on a busy machine a load takes 10
    tuning = tune(str(artifact), "latency", options, store=store, notify=told.append)
    outcome, tuned = tuning.outcome, tuning.tuned
    assert Records(store.tuned).find(names.resolve(str(artifact)).name) == tuned
    assert tuned.choice in outcome.trials
    assert outcome.default in outcome.trials
    assert all(trial.figures.token_s > 0 for trial in outcome.trials)
    assert outcome.default.figures.cold_s > 0
    assert outcome.default.figures.joules_per_token is None
    assert any("ms a token" in line for line in told)
    session = prepare_session(str(artifact), SessionOptions(), store=store)
    assert session.placement.plan.properties == tuned.setup.properties
    assert "measured here on" in session.facts["why"][0]


def test_where_nothing_was_compared_nothing_is_kept(artifact, tmp_path):
    store = Store(tmp_path)
    options = TuneOptions(budget="1s", prompt=16, tokens=8)
    tuning = tune(str(artifact), "latency", options, store=store, notify=lambda _: None)
    assert tuning.outcome.trials == (tuning.outcome.default,)
    assert not tuning.is_kept
    assert not list(store.tuned.glob("*"))


def test_a_setup_that_can_not_be_loaded_is_one_line(artifact, tmp_path):
    source = names.resolve(str(artifact))
    work = module._work("latency", SHORT)
    bench = ProcessBench(source, Store(tmp_path), (CPU,), work, lambda *_: None, lambda _: None)
    (place,) = runtime_devices((CPU,))
    setup = place.default()
    wrong = type(setup)(setup.runtime, setup.device, None, {"NO_SUCH_PROPERTY": "1"})
    with pytest.raises(MeasurementError, match="CPU has no property NO_SUCH_PROPERTY"):
        bench.open(wrong)


def test_a_bench_knows_what_fits(smollm_gguf, tmp_path):
    source = names.resolve(str(smollm_gguf))
    small = Device("CPU", "cpu", "A CPU", memory_bytes=10**8, runtimes=("openvino",))
    work = module._work("latency", SHORT)
    bench = ProcessBench(source, Store(tmp_path), (small,), work, lambda *_: None, lambda _: None)
    (place,) = runtime_devices((small,))
    wide = next(
        one.setup
        for one in recipes(place, is_bounded=False, for_quality=False)
        if one.setup.weights == "fp16"
    )
    assert bench.weights == pytest.approx(134.5e6, rel=0.01)
    assert bench.objection(wide).startswith("too large: it takes about")
    assert bench.cost(wide) == pytest.approx(bench.weights / 5e7)
    assert bench.cost(type(wide)("openvino", "CPU", None)) == 0.0


def test_energy_without_a_counter_is_an_error():
    found = runtime_devices((CPU,))
    with pytest.raises(MeasurementError, match="no energy counter here"):
        module._with_counters(found, lambda kind: None)
    assert module._with_counters(found, lambda kind: object()) == found


def test_a_goal_that_is_none_is_refused():
    with pytest.raises(UsageError, match="nothing is tuned for 'beauty'"):
        module._work("beauty", SHORT)


@pytest.mark.parametrize(
    ("budget", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200)]
)
def test_a_budget_is_a_time(budget, seconds):
    assert TuneOptions(budget=budget).budget_s == seconds


@pytest.mark.parametrize("budget", ["", "ten", "5d", "-1m", "m"])
def test_another_budget_is_refused(budget):
    with pytest.raises(UsageError, match="is no time; write 90s, 10m or 1h"):
        TuneOptions(budget=budget)
