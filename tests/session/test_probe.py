"""A model meets a machine: measured once, kept, and what was requested is kept too."""

from __future__ import annotations

import dataclasses
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import tiny

from aipc.choose.probe import probe as probe_module
from aipc.choose.probe.probe import BUSY_LASTS_S, Probe, Probed, ProbeResult, shape
from aipc.convert.recipe import Recipe
from aipc.devices import Device
from aipc.errors import AipcError, UsageError
from aipc.models.catalogue import CATALOGUE
from aipc.models.store import Store
from aipc.session import prepare
from aipc.session.place import SessionOptions
from aipc.session.prepare import prepare_session

BOTH = Device("CPU", "cpu", "A CPU", runtimes=("openvino", "onnx"))
ONE = Device("CPU", "cpu", "A CPU", runtimes=("openvino",))


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "phi3")


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "_devices", lambda *_: (BOTH,))
    return Store(tmp_path / "home")


@pytest.fixture(scope="module")
def results():
    """What was measured here, by what was to be measured."""
    return {}


@pytest.fixture
def probes(monkeypatch, results):
    """How many candidates each probe had; the real one measures them, the same ones once."""
    counted = []
    real = Probe.run

    def run(self, candidates):
        counted.append(len(candidates))
        key = repr([(one.setup, shape(one.plan.network)) for one in candidates])
        if key not in results:
            results[key] = dataclasses.replace(real(self, candidates), others=0.0)
        return results[key]

    monkeypatch.setattr(Probe, "run", run)
    return counted


def write_model(folder, **changes):
    config = {**tiny.CONFIGS["phi3"], **changes}
    return str(tiny.write_checkpoint(folder, config, tiny.random_tensors(config)))


def prepared(model, store, recipe=None, **wanted):
    told = []
    made = prepare_session(
        model, SessionOptions(**wanted), recipe=recipe, store=store, notify=told.append
    )
    return made.facts, told


def test_the_first_meeting_is_measured_said_and_kept(model, store, probes):
    facts, told = prepared(model, store)
    assert probes == [2]
    assert told[0].startswith("cpu through O")
    assert told[0].endswith("here; `aipc tune` measures more")
    assert facts["why"][0].startswith("cpu through O")
    assert "predicted from some of its blocks" in facts["why"][0]
    again, told = prepared(model, store)
    assert probes == [2]
    assert told == []
    assert again["why"] == facts["why"]
    assert again["runtime"] == facts["runtime"]


@pytest.mark.parametrize("recipe", [None, Recipe("int8")])
def test_what_is_measured_is_what_a_session_takes(model, store, probes, monkeypatch, recipe):
    """A small network's int8 keeps its activations, whoever asked for int8."""
    measured = []
    real = Probe.run

    def run(self, candidates):
        measured.extend(one.setup for one in candidates)
        return real(self, candidates)

    monkeypatch.setattr(Probe, "run", run)
    prepared(model, store, recipe)
    setup = next(one for one in measured if one.runtime == "openvino")
    assert setup.recipe == Recipe("int8")
    assert setup.properties == {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    made = prepare_session(
        model, SessionOptions(runtime="openvino", probe=False), recipe=recipe, store=store
    )
    assert made.placement.plan.properties == setup.properties


def test_where_nothing_was_measured_in_time_that_is_said(model, store, monkeypatch):
    def run(_self, candidates):
        late = "it was still loading when its time was over"
        probed = (Probed(one.setup.runtime, "CPU", unfit=True, why=late) for one in candidates)
        return ProbeResult(10.0, tuple(probed), others=0.8, when=time.time())

    monkeypatch.setattr(Probe, "run", run)
    facts, told = prepared(model, store)
    late = "passed over, it was still loading when its time was over"
    assert told[0].startswith(
        "nothing was found fit, so the documented order decides "
        f"(cpu through OpenVINO: {late}; cpu through ONNX Runtime: {late}); other programs took 80%"
    )
    assert "nothing was measured here" in facts["why"][0]
    assert not any("nothing was found fit" in line for line in prepared(model, store)[1])


def test_another_model_of_the_shape_is_known(model, store, probes, tmp_path):
    facts, _ = prepared(model, store)
    other, _ = prepared(write_model(tmp_path / "other"), store)
    assert probes == [2]
    assert other["runtime"] == facts["runtime"]
    prepared(write_model(tmp_path / "wider", intermediate_size=192), store)
    assert probes == [2, 2]


def test_each_kind_of_work_is_chosen_for_from_one_measurement(model, store, probes):
    for work in ("run", "chat", "serve", "document"):
        facts, _ = prepared(model, store, work=work)
        assert f" s for a {work} " in facts["why"][0]
    assert probes == [2]


def test_another_version_recipe_or_driver_is_measured_again(model, store, probes, monkeypatch):
    prepared(model, store)
    prepared(model, store, recipe=Recipe("int8"))  # its own by default, since it is small
    assert probes == [2]
    prepared(model, store, recipe=Recipe("int4"))
    assert probes == [2, 2]
    monkeypatch.setattr("aipc.choose.measured.installed", lambda: {"openvino": "2030.1"})
    prepared(model, store)
    assert probes == [2, 2, 2]
    newer = dataclasses.replace(BOTH, driver="2")
    monkeypatch.setattr(prepare, "_devices", lambda *_: (newer,))
    prepared(model, store)
    assert probes == [2, 2, 2, 2]


@pytest.mark.parametrize(
    "wanted",
    [
        {"probe": False},
        {"runtime": "onnx"},
        {"runtime": "openvino"},
        {"properties": {"NUM_STREAMS": "1"}},
        {"device": "npu", "emulate": True},
    ],
)
def test_where_there_is_nothing_to_choose_nothing_is_measured(wanted, model, store, probes):
    facts, told = prepared(model, store, **wanted)
    assert probes == []
    assert not any("aipc tune" in line for line in told)
    assert facts["runtime"] == wanted.get("runtime", "openvino")


def test_a_device_that_was_requested_is_measured_through_its_runtimes(model, store, probes):
    prepared(model, store, device="cpu")
    assert probes == [2]


def test_a_runtime_that_is_not_installed_leaves_no_choice(model, store, probes, monkeypatch):
    monkeypatch.setattr(prepare, "_devices", lambda *_: (ONE,))
    facts, _ = prepared(model, store)
    assert probes == []
    assert facts["runtime"] == "openvino"
    assert "nothing was measured here" in facts["why"][0]


def test_a_network_that_one_runtime_can_not_compute_leaves_no_choice(tmp_path, store, probes):
    narrow = write_model(tmp_path / "narrow", hidden_size=96, num_attention_heads=4, head_dim=24)
    facts, _ = prepared(narrow, store)
    assert probes == []
    assert facts["runtime"] == "openvino"


def test_a_device_that_is_missing_is_an_error_as_ever(model, store, probes):
    with pytest.raises(AipcError, match="npu"):
        prepared(model, store, device="npu")
    assert probes == []


def test_a_busy_machine_is_said_and_measured_again(model, store, probes, monkeypatch):
    quiet = Probe.run
    monkeypatch.setattr(
        Probe, "run", lambda self, found: dataclasses.replace(quiet(self, found), others=0.5)
    )
    again = (
        "other programs took 50% of the processor meanwhile, so it is measured again after an hour"
    )
    assert prepared(model, store)[1][0].endswith(again)
    assert prepared(model, store)[1] == []
    later = time.time() + BUSY_LASTS_S
    monkeypatch.setattr(time, "time", lambda: later)
    assert prepared(model, store)[1][0].endswith(again)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"identity": {}, "value": {}}'])
def test_a_damaged_record_is_measured_again(damage, model, store, probes):
    prepared(model, store)
    for file in store.probed.glob("*.json"):
        file.write_text(damage)
    prepared(model, store)
    assert probes == [2, 2]


def test_a_record_of_another_form_is_measured_again(model, store, probes):
    prepared(model, store)
    for file in store.probed.glob("*.json"):
        kept = json.loads(file.read_text())
        kept["value"]["probed"][0]["prediction"].pop("token_s")
        file.write_text(json.dumps(kept))
    prepared(model, store)
    assert probes == [2, 2]


def test_a_disk_that_refuses_leaves_the_documented_order(model, store, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(probe_module, "write_stack", refuse)
    facts, told = prepared(model, store)
    assert told[0] == (
        "nothing was measured, so the documented order decides: No space left on device"
    )
    assert facts["runtime"] == "openvino"


def test_two_that_meet_a_model_at_once_measure_it_once(model, store, probes, results):
    results.clear()  # so that the first takes its time
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: prepared(model, store)[0]["runtime"], range(2)))
    assert probes == [2]
    assert made[0] == made[1]


def test_only_who_named_no_model_is_told_of_the_default(small_store, store, probes, monkeypatch):
    source = CATALOGUE.default.source
    monkeypatch.setattr(Store, "holds", lambda *_: False)
    monkeypatch.setattr(store, "fetch", lambda *_: small_store.fetch(source))
    for name, is_told in (("smollm2-135m", False), (None, True)):
        told = prepared(name, store)[1]
        assert any("no model was named" in line for line in told) == is_told
        for artifact in store.artifacts_of(source):  # with it here, nothing is announced
            store.remove(artifact.name)


def test_an_unknown_kind_of_work_is_refused():
    with pytest.raises(UsageError, match="no kind of work 'poem'; choose one of run, chat, serve"):
        SessionOptions(work="poem")
