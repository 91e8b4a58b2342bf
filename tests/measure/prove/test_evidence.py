"""Which devices are tried, and what is stated of one before it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from aipc.choose.runtime_device import RuntimeDevice
from aipc.devices import Device
from aipc.devices.device import SOFTWARE as IMITATED
from aipc.measure.prove.evidence import stated
from aipc.measure.prove.prove import places_to_try
from aipc.measure.prove.record import MEASURED, SOFTWARE
from aipc.models.source import FolderSource


@pytest.mark.parametrize(("facts", "claim"), [({"type": IMITATED}, SOFTWARE), ({}, MEASURED)])
def test_a_device_that_the_cpu_imitates_is_no_measured_one(facts, claim) -> None:
    device = Device("WEBGPU", "webgpu", "a GPU", runtimes=("onnx",), facts=facts)
    assert stated(RuntimeDevice(device, "onnx", None), None).claim == claim


@pytest.mark.parametrize("requested", ["auto", "WEBGPU"])
def test_a_software_device_is_tried_too(requested) -> None:
    cpu = Device("CPU", "cpu", "a CPU", runtimes=("onnx",))
    imitated = Device("WEBGPU", "webgpu", "none", runtimes=("onnx",), facts={"type": IMITATED})
    found = places_to_try(FolderSource(Path("model")), {"onnx": (imitated, cpu)}, requested)
    assert [(one.device.name, emulated) for one, emulated in found] == [
        ("CPU", False),
        ("WEBGPU", False),
    ]
