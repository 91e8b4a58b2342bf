from __future__ import annotations

import json
import logging

import pytest

from aipc.errors import ArtifactError, DeviceError
from aipc.facade.pretrained import (
    RequestedDevice,
    read_config,
    read_generation_config,
    requested_device,
)


def write(folder, content):
    (folder / "config.json").write_text(json.dumps(content))
    return str(folder)


def test_a_folders_config_is_read_without_code_of_the_models_own(tmp_path):
    coded = {"model_type": "phi3", "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"}}
    assert read_config(write(tmp_path, coded), None).model_type == "phi3"


@pytest.mark.parametrize("content", [{"model_type": "phi9"}, {}])
def test_a_network_that_transformers_does_not_know_is_refused(content, tmp_path):
    with pytest.raises(
        ArtifactError, match=r"knows no network as .*config\.json.*; use aipc\.load"
    ):
        read_config(write(tmp_path, content), None)


def test_a_vendors_folder_without_a_generation_config_has_transformers_own(tmp_path):
    assert read_generation_config(str(tmp_path)).do_sample in {None, False}


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv("AIPC_DEVICE", raising=False)


def test_the_program_decides(caplog):
    assert requested_device("GPU.0").options == {"device": "GPU.0"}
    assert requested_device("npu", emulate=True).options == {"device": "npu", "emulate": True}
    assert not caplog.records


@pytest.mark.parametrize(
    ("variable", "options"),
    [
        ("cpu", {"device": "cpu"}),
        (" GPU.1 ", {"device": "gpu.1"}),
        ("emulate", {"device": "npu", "emulate": True}),
    ],
)
def test_the_variable_goes_before_it_and_says_so_once(variable, options, monkeypatch, caplog):
    monkeypatch.setenv("AIPC_DEVICE", variable)
    with caplog.at_level(logging.WARNING, "aipc"):
        for _ in range(2):
            assert requested_device("npu").options == options
    said = f"AIPC_DEVICE={variable.strip().lower()}: the program asks for npu"
    assert [record.message for record in caplog.records] == [said]


def test_the_variable_that_agrees_is_not_spoken_of(monkeypatch, caplog):
    monkeypatch.setenv("AIPC_DEVICE", "npu")
    requested_device("npu")
    assert not caplog.records


def test_a_missing_npu_names_both_ways_on():
    error = RequestedDevice("npu").advise(DeviceError("this machine has no NPU", "ask for cpu"))
    assert error.what == "this machine has no NPU"
    assert error.fix.startswith("ask for cpu; AIPC_DEVICE=cpu runs")
    assert "AIPC_DEVICE=emulate" in error.fix


def test_a_missing_gpu_names_the_cpu_alone():
    fix = RequestedDevice("GPU.0").advise(DeviceError("this machine has no GPU")).fix
    assert fix == "AIPC_DEVICE=cpu runs this program on the CPU as it is"
