from __future__ import annotations

import dataclasses
import json

import pytest

from aipc.choose.measured import Fingerprint, Records, SetupFigures, Trial, Tuned, Work, fingerprint
from aipc.choose.setup import Setup
from aipc.convert.recipe import Recipe
from aipc.devices import Device
from aipc.errors import ArtifactError, ModelNotFound

MACHINE = Fingerprint("A CPU", 8, {"CPU": "A CPU", "GPU": "Arc, driver 1"}, {"openvino": "1"})
SETUP = Setup("openvino", "CPU", Recipe("int8"), {"INFERENCE_PRECISION_HINT": "f32"})
TUNED = Tuned(
    model="org--model--main",
    label="org/model",
    goal="latency",
    work=Work(),
    when="2026-11-22T10:00:00+00:00",
    machine=MACHINE,
    choice=Trial(SETUP, SetupFigures(0.5, 0.131, 1000, 3, 0.02), frontier=True),
    gain=1.7,
    trials=(Trial(SETUP, SetupFigures(0.5, 0.131, 1000, 3, 0.02), frontier=True),),
)


def test_a_record_comes_back_as_it_was(tmp_path):
    records = Records(tmp_path / "tuned")
    assert records.find(TUNED.model) is None
    assert records.all() == ([], [])
    records.save(TUNED)
    assert records.find(TUNED.model) == TUNED
    own = dataclasses.replace(
        TUNED, choice=Trial(Setup("openvino", "CPU", None), SetupFigures(1, 1, 1))
    )
    records.save(own)
    assert records.find(TUNED.model) == own
    assert records.all() == ([own], [])


def test_a_record_can_be_forgotten(tmp_path):
    records = Records(tmp_path)
    records.save(TUNED)
    records.forget(TUNED.model)
    assert records.find(TUNED.model) is None
    with pytest.raises(ModelNotFound, match="nothing is tuned for 'org--model--main'"):
        records.forget(TUNED.model)


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"schema": 2}', '{"schema": 1, "model": 1}'])
def test_a_damaged_record_says_so(damage, tmp_path):
    records = Records(tmp_path)
    file = records.save(TUNED)
    file.write_text(damage)
    with pytest.raises(ArtifactError, match="run `aipc tune` again"):
        records.find(TUNED.model)
    found, wrong = records.all()
    assert (found, len(wrong)) == ([], 1)


def test_a_bad_recipe_in_a_record_is_damage_too(tmp_path):
    records = Records(tmp_path)
    file = records.save(TUNED)
    table = json.loads(file.read_text())
    del table["hash"]
    table["choice"]["setup"]["recipe"]["weight_format"] = "int3"
    file.write_text(json.dumps(table))
    with pytest.raises(ArtifactError, match="int3"):
        records.find(TUNED.model)


def test_a_record_that_was_changed_is_damage(tmp_path):
    records = Records(tmp_path)
    file = records.save(TUNED)
    file.write_text(file.read_text().replace('"gain": ', '"gain": 1'))
    with pytest.raises(ArtifactError, match="it was changed"):
        records.find(TUNED.model)


def test_a_record_of_earlier_recipes_is_read_and_holds_no_more(tmp_path):
    """Then rounding was the default, and search read text: nobody asks for these weights now."""
    records = Records(tmp_path)
    file = records.save(TUNED)
    assert records.find(TUNED.model).changes(MACHINE) == ()
    table = json.loads(file.read_text())
    del table["revision"], table["hash"]
    table["choice"]["setup"]["recipe"] |= {"quantizer": "search", "calibration": "own.txt"}
    file.write_text(json.dumps(table))
    old = records.find(TUNED.model)
    assert old.changes(MACHINE) == ("its recipe int8-sym is of an earlier version",)
    table["choice"]["setup"]["recipe"] = None
    file.write_text(json.dumps(table))
    assert records.find(TUNED.model).changes(MACHINE) == ()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"processor": "Another"}, "the processor was A CPU with 8 threads"),
        ({"threads": 4}, "the processor was A CPU with 8 threads"),
        ({"devices": {"CPU": "A CPU", "NPU": "An NPU"}}, "NPU was not there"),
        ({"devices": {"GPU": "Arc, driver 2"}}, "GPU was Arc, driver 1, is Arc, driver 2"),
        ({"versions": {"openvino": "2"}}, "openvino was 1, is 2"),
        ({"versions": {}}, "openvino was 1, is not installed"),
    ],
)
def test_what_makes_a_measurement_worthless(changed, told):
    assert MACHINE.changes(dataclasses.replace(MACHINE, **changed)) == (told,)


def test_a_session_that_sees_fewer_devices_is_on_the_same_machine():
    assert MACHINE.changes(dataclasses.replace(MACHINE, devices={"CPU": "A CPU"})) == ()


def test_a_fingerprint_has_drivers_and_versions():
    gpu = Device("GPU", "gpu", "Arc", driver="32.1", runtimes=("openvino",))
    now = fingerprint([gpu])
    assert now.devices == {"GPU": "Arc, driver 32.1"}
    assert now.threads > 0
    assert "openvino" in now.versions
    assert now.changes(fingerprint([gpu])) == ()


@pytest.mark.parametrize(
    ("asked", "against"),
    [
        (("auto", "auto", None), ""),
        (("cpu", "openvino", Recipe("int8")), ""),
        (("gpu", "auto", None), "--device gpu was requested"),
        (("auto", "onnx", None), "--runtime onnx was requested"),
        (("auto", "auto", Recipe("int4")), "another recipe was requested"),
    ],
)
def test_what_the_user_asks_for_wins(asked, against):
    assert TUNED.objection(*asked) == against


def test_the_first_gpu_is_the_gpu():
    on_gpu = dataclasses.replace(TUNED.choice, setup=Setup("openvino", "GPU.0", None))
    tuned = dataclasses.replace(TUNED, choice=on_gpu)
    assert [tuned.objection(name, "auto", None) for name in ("gpu", "gpu.0")] == ["", ""]
    assert tuned.objection("gpu.1", "auto", None) == "--device gpu.1 was requested"


def test_a_record_says_why_in_figures():
    assert TUNED.why == (
        "measured here on 2026-11-22 for latency: 131 ms a token, "
        "1.70 times as good as the default choice"
    )
    figures = dataclasses.replace(TUNED.choice.figures, tokens_per_s=88.4)
    many = dataclasses.replace(TUNED, goal="throughput", work=Work(kind="copy", streams=8))
    many = dataclasses.replace(many, choice=Trial(SETUP, figures))
    assert "answers that copy from the prompt, 88 tokens a second in 8 answers" in many.why


def test_a_setup_can_be_written_as_flags():
    assert SETUP.flags == (
        "--device cpu --runtime openvino --weight-format int8 --sym "
        "--ov-config INFERENCE_PRECISION_HINT=f32"
    )
    assert str(Setup("onnx", "CUDA", None)) == "cuda onnx as they are, the runtime's own defaults"
