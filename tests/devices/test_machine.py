from __future__ import annotations

import dataclasses
import json
import sys

import pytest

from aipc.devices import machine as source
from aipc.devices.adapters import Adapter
from aipc.devices.machine import read_linux_surroundings, read_surroundings, this_machine


def test_it_is_whole_and_ready_for_json() -> None:
    machine = this_machine()
    told = json.loads(json.dumps(dataclasses.asdict(machine)))
    assert "CPU" in {device["name"] for device in told["devices"]}
    assert told["versions"]["openvino"].startswith("20")
    assert told["memory"]["total"] > 0


def test_without_openvino_the_rest_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    machine = this_machine()
    assert not any("openvino" in device.runtimes for device in machine.devices)
    assert machine.cpu.name
    assert any("OpenVINO can't be loaded" in problem for problem in machine.problems)


def test_a_gpu_that_no_runtime_reaches_is_told_with_what_is_missing(monkeypatch) -> None:
    gpu = Adapter("gpu", "nvidia", "GeForce RTX 4090", module="nouveau")
    monkeypatch.setattr(source, "read_adapters", lambda: (gpu,))
    monkeypatch.setattr("platform.system", lambda: "Linux")
    (one,) = this_machine().unreached
    assert one.adapter == gpu
    assert one.missing.startswith("NVIDIA's driver is not loaded")


KERNEL = "proc/sys/kernel/osrelease"
PROFILE = "sys/firmware/acpi/platform_profile"
EPP = "sys/devices/system/cpu/cpu0/cpufreq/energy_performance_preference"


def test_a_plain_linux(tree) -> None:
    told = read_linux_surroundings(tree({KERNEL: "6.14.0-37-generic\n", PROFILE: "low-power\n"}))
    assert (told.kernel, told.is_wsl, told.power_profile) == (
        "6.14.0-37-generic",
        False,
        "low-power",
    )


def test_linux_within_windows(tree) -> None:
    told = read_linux_surroundings(tree({KERNEL: "5.15.167.4-microsoft-standard-WSL2\n"}))
    assert told.is_wsl


def test_the_cores_preference_where_the_firmware_has_no_profile(tree) -> None:
    assert read_linux_surroundings(tree({EPP: "power\n"})).power_profile == "power"


def test_nothing_is_told_by_nothing(tmp_path) -> None:
    told = read_linux_surroundings(tmp_path)
    assert (told.kernel, told.power_profile, told.has_vulkan) == (None, None, None)


def test_this_machine_answers() -> None:
    assert read_surroundings().is_wsl in {True, False}
