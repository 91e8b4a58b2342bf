"""Planted names of a person, of a host and of paths."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

import pytest

from aipc.choose.runtime_device import RuntimeDevice
from aipc.devices import Device
from aipc.measure.prove import machine
from aipc.measure.prove.evidence import stated
from aipc.measure.prove.machine import impersonal, proven_machine


@pytest.fixture(autouse=True)
def somebody(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "janes-laptop.example.org")
    monkeypatch.setattr(getpass, "getuser", lambda: "jdoe")
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: cls("/home/jane.doe")))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Intel(R) Core(TM) Ultra 7 155H", "Intel(R) Core(TM) Ultra 7 155H"),
        ("NVIDIA GeForce RTX 4090/PCIe/SSE2", "NVIDIA GeForce RTX 4090/PCIe/SSE2"),
        ("GPU of JDOE on janes-laptop", "GPU of … on …"),
        ("driver /opt/jd/lib.so 1.2", "driver … 1.2"),
        (r"C:\Users\x\driver.dll 3", "… 3"),
        ("jane.doe's GPU", "… s GPU"),
        ("jdoes GPU", "jdoes GPU"),
        ("<b>GPU</b> | `x`\x1b[1m", "b GPU /b x 1m"),
    ],
)
def test_a_vendor_s_name_is_kept_without_a_person_s(given, kept):
    assert " ".join(impersonal(given).split()) == kept


def test_the_machine_has_no_name_in_it(monkeypatch):
    monkeypatch.setattr(machine.platform, "release", lambda: "6.8.0-jdoe-custom")
    found = proven_machine(())
    if found.kernel is not None:
        assert found.kernel == "6.8.0"
    assert not {"jdoe", "jane", "janes"} & set(repr(found).lower().replace("-", " ").split())


def test_a_device_has_no_name_in_it():
    device = Device(
        "GPU", "gpu", "GPU of jdoe", driver="1 /home/jane.doe/x", runtimes=("openvino",)
    )
    found = stated(RuntimeDevice(device, "openvino", None), None)
    assert (found.name, found.driver) == ("GPU of …", "1 …")


@pytest.mark.parametrize(
    ("name", "facts", "claim"),
    [
        ("NVIDIA GeForce RTX 4090", {}, "measured"),
        ("SwiftShader Device (LLVM 10.0.0)", {"type": "software"}, "software device"),
        ("An adapter", {"type": "software"}, "software device"),
    ],
)
def test_a_software_device_is_told_from_hardware(name, facts, claim):
    device = Device("WEBGPU", "webgpu", name, runtimes=("onnx",), facts=facts)
    assert stated(RuntimeDevice(device, "onnx", None), None).claim == claim


@pytest.mark.parametrize(
    ("system", "version", "told"),
    [
        ("Windows", "10.0.26100", "Windows 10.0.26100"),
        ("Windows", "10.0.26100 jdoe", "Windows 10.0.26100"),
        ("Plan9", "", "Plan9"),
    ],
)
def test_a_system_is_told_by_numbers(system, version, told, monkeypatch):
    monkeypatch.setattr(machine.platform, "system", lambda: system)
    monkeypatch.setattr(machine.platform, "version", lambda: version)
    assert machine._system() == told
