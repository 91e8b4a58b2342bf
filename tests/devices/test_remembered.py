from __future__ import annotations

import dataclasses

import pytest

from aipc.devices import Device, remembered
from aipc.devices.adapters import Adapter
from aipc.devices.remembered import remembered_devices
from aipc.errors import DeviceError

CPU = Device("CPU", "cpu", "A CPU", precisions=("fp32", "int8"), runtimes=("openvino", "onnx"))
GPU = Device(
    "GPU",
    "gpu",
    "A GPU",
    driver="1.2",
    memory_bytes=8_000_000_000,
    runtimes=("openvino",),
    facts={"type": "discrete", "capabilities": ["FP16"]},
)
ARC = Adapter("gpu", "intel", "Arc", "0000:00:02.0", "0x7d55", driver="1.2")


@pytest.fixture
def runtimes(monkeypatch):
    """What the runtimes tell, how often they were asked, and what the system shows."""

    class Runtimes:
        devices, problems, adapters, asked = (CPU, GPU), (), (ARC,), 0

        def ask(self):
            self.asked += 1
            return self.devices, self.problems

    told = Runtimes()
    monkeypatch.setattr(remembered, "ask_runtimes", told.ask)
    monkeypatch.setattr("aipc.devices.reach.ask_runtimes", lambda runtimes: told.ask())
    monkeypatch.setattr(remembered, "read_adapters", lambda: told.adapters)
    return told


def test_what_was_told_once_is_told_again_without_asking(runtimes, tmp_path) -> None:
    assert remembered_devices(tmp_path / "kept") == (CPU, GPU)
    assert remembered_devices(tmp_path / "kept") == (CPU, GPU)
    assert runtimes.asked == 1


@pytest.mark.parametrize("change", ["gone", "driver", "permission", "packages", "environment"])
def test_what_may_have_changed_the_answer_has_it_asked_for(
    change, runtimes, tmp_path, monkeypatch
) -> None:
    remembered_devices(tmp_path)
    runtimes.devices = (CPU,)
    if change == "gone":
        runtimes.adapters = ()
    elif change == "driver":
        runtimes.adapters = (dataclasses.replace(ARC, driver="1.3"),)
    elif change == "permission":
        runtimes.adapters = (dataclasses.replace(ARC, may_open=False),)
    elif change == "packages":
        monkeypatch.setattr(remembered, "installed", lambda: {"openvino": "1"})
    else:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert remembered_devices(tmp_path) == (CPU,)


def test_a_problem_is_not_remembered(runtimes, tmp_path) -> None:
    runtimes.devices, runtimes.problems = (CPU,), ("OpenVINO lists GPU and can't describe it",)
    assert remembered_devices(tmp_path) == (CPU,)
    runtimes.devices, runtimes.problems = (CPU, GPU), ()
    assert remembered_devices(tmp_path) == (CPU, GPU)


def test_no_device_at_all_is_an_error(runtimes, tmp_path) -> None:
    runtimes.devices, runtimes.problems = (), (DeviceError("OpenVINO can't be loaded", "mend it"),)
    with pytest.raises(DeviceError, match="can't be loaded; mend it"):
        remembered_devices(tmp_path)


def test_what_can_not_be_read_is_asked_for(runtimes, tmp_path) -> None:
    remembered_devices(tmp_path)
    (file,) = tmp_path.glob("*.json")
    file.write_text(file.read_text().replace('"full_name"', '"name_in_full"'))
    assert remembered_devices(tmp_path) == (CPU, GPU)
    assert runtimes.asked == 2
