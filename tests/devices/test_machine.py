from __future__ import annotations

import dataclasses
import json
import sys

import pytest

from aipc.devices import machine as source
from aipc.devices.adapters.adapter import Adapter
from aipc.devices.machine import this_machine


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
