"""Machines by what their systems report of GPUs and NPUs: what aipc says of each."""

from __future__ import annotations

import sys
from datetime import date

import pytest

from aipc.choose.order import order
from aipc.devices import reach
from aipc.devices.adapters import Adapter, adapter_of, read_linux_adapters
from aipc.devices.checks import requirement, requirements
from aipc.devices.device import Device, resolve_device
from aipc.devices.makers import makers, npus, why_no_runtime
from aipc.devices.reach import unreached
from aipc.errors import DeviceError

CPU = Device("CPU", "cpu", "A CPU", runtimes=("onnx",))
needs_links = pytest.mark.skipif(sys.platform == "win32", reason="the recorded trees have links")


def said(adapters: tuple[Adapter, ...], system: str) -> dict[str, str]:
    """Name → what is missing, where only the CPU is reached."""
    return {one.adapter.name: one.missing for one in unreached(adapters, [CPU], system)}


@pytest.mark.parametrize(
    "line",
    [*order(), *requirements(), *makers().values(), *npus().values()],
    ids=lambda line: getattr(line, "name", "") or f"{line.kind} {line.source[:20]}",
)
def test_every_line_has_its_source_and_the_day_it_was_read(line) -> None:
    assert line.source
    assert line.read == "unchecked" or date.fromisoformat(line.read) >= date(2026, 11, 29)


def test_each_npu_is_its_makers_and_named_once() -> None:
    assert all(npu.vendor in makers() and npu.name for npu in npus().values())
    for maker in makers().values():
        assert bool(maker.npu) != bool(maker.no_npu) or maker.name == "nvidia"


@needs_links
def test_panther_lake_with_an_arc_b_card(recorded) -> None:
    own, npu, arc = read_linux_adapters(recorded("panther_lake"))
    assert (own.name, arc.name) == (
        "Intel Panther Lake [Arc B390]",
        "Intel Battlemage G21 [Arc B580]",
    )
    assert (npu.name, npu.driver) == ("Intel NPU (Panther Lake)", "1.26.0")
    assert arc.memory_bytes == 12 * 2**30
    missing = said((own, npu, arc), "Linux")
    assert missing[own.name] == "install Intel's compute runtime, the package intel-opencl-icd"
    assert "linux-npu-driver" in missing[npu.name]
    needed = requirement(npu, "Linux")
    assert needed is not None
    assert (needed.minimum, needed.is_met("1.26.0"), needed.is_met("1.38.0")) == (
        "1.28.0",
        False,
        True,
    )


@pytest.mark.parametrize(
    ("device", "linux", "windows"),
    [
        ("0x7d1d", "1.10.0", "32.0.100.3104"),
        ("0xad1d", "1.10.0", "32.0.100.4239"),
        ("0x643e", "1.10.0", "32.0.100.4239"),
        ("0xb03e", "1.28.0", "32.0.100.4239"),
        ("0xfd3e", "1.32.0", "32.0.100.3104"),
        ("0xd71d", "1.39.1", "32.0.100.3104"),
    ],
)
def test_the_driver_that_each_of_intels_npus_wants(device, linux, windows) -> None:
    npu = Adapter("npu", "intel", "AI Boost", device_id=device)
    found = [requirement(npu, system) for system in ("Linux", "Windows")]
    assert [one and one.minimum for one in found] == [linux, windows]


@needs_links
@pytest.mark.parametrize(
    ("machine", "name", "reason"),
    [
        ("phoenix", "AMD NPU (Phoenix, Hawk Point)", "for Strix and later only"),
        ("amd", "AMD NPU (Strix, Strix Halo, Krackan)", "RyzenAI, comes with AMD's Ryzen AI"),
    ],
)
def test_amds_npu_is_named_with_what_can_be_used(recorded, machine, name, reason) -> None:
    missing = said(read_linux_adapters(recorded(machine)), "Linux")
    assert missing[name].startswith("no runtime here computes on it: ")
    assert reason in missing[name]
    assert missing[name].endswith(
        "use its GPU (`--device webgpu`, in Windows also directml) or the CPU"
    )
    (gpu, *_) = (text for other, text in missing.items() if other != name)
    assert "onnxruntime-ep-webgpu==" in gpu


RYZEN = (
    ("gpu", r"PCI\VEN_1002&DEV_1114&SUBSYS_50EE17AA&REV_D3", "AMD Radeon(TM) 860M Graphics"),
    ("npu", r"PCI\VEN_1022&DEV_17F0&SUBSYS_50EE17AA&REV_20", "NPU Compute Accelerator Device"),
)
SNAPDRAGON = (
    ("gpu", r"ACPI\VEN_QCOM&DEV_0C36", "Qualcomm(R) Adreno(TM) X1-85 GPU"),
    ("npu", r"ACPI\QCOM0D0A", "Snapdragon(R) X Elite - X1E80100 - Qualcomm(R) Hexagon(TM) NPU"),
)


def windows(drivers) -> tuple[Adapter, ...]:
    found = [
        adapter_of(kind, {"MatchingDeviceId": matching.lower(), "DriverDesc": name})
        for kind, matching, name in drivers
    ]
    return tuple(adapter for adapter in found if adapter is not None)


def test_a_ryzen_ai_in_windows(monkeypatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    monkeypatch.setattr("platform.machine", lambda: "AMD64")
    gpu, npu = said(windows(RYZEN), "Windows").values()
    assert "onnxruntime-genai-directml==" in gpu
    assert "RyzenAI" in npu


def test_a_snapdragon_x_in_windows(monkeypatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    monkeypatch.setattr("platform.machine", lambda: "ARM64")
    adreno, hexagon = windows(SNAPDRAGON)
    assert (adreno.kind, adreno.maker, adreno.device_id) == ("gpu", "qualcomm", "0x0c36")
    assert (hexagon.kind, hexagon.maker, hexagon.device_id) == ("npu", "qualcomm", "0x0d0a")
    gpu, npu = said((adreno, hexagon), "Windows").values()
    assert "onnxruntime-ep-webgpu==" in gpu
    assert npu == (
        "no runtime here computes on it: its provider, QNN, takes only graphs of fixed shapes, "
        "which aipc does not write yet; use its GPU (`--device webgpu`) or the CPU"
    )


@needs_links
def test_a_snapdragon_x_in_linux(recorded) -> None:
    (adreno,) = read_linux_adapters(recorded("snapdragon"))
    assert (adreno.maker, adreno.name) == ("qualcomm", "Qualcomm GPU (x1e80100)")
    assert (adreno.module, adreno.node) == ("msm_dpu", "/dev/dri/renderD128")
    assert "onnxruntime-ep-webgpu==" in said((adreno,), "Linux")[adreno.name]


def test_the_npu_asked_for_is_another_makers(monkeypatch) -> None:
    monkeypatch.setattr("aipc.devices.device.read_adapters", lambda: windows(SNAPDRAGON))
    with pytest.raises(DeviceError) as told:
        resolve_device("npu", ["CPU"])
    assert str(told.value).startswith("Snapdragon(R) X Elite - X1E80100")
    assert "QNN, takes only graphs of fixed shapes" in str(told.value)


def test_openvino_is_not_missed_where_it_has_no_wheels(monkeypatch) -> None:
    monkeypatch.setattr(reach, "has_wheels", lambda module: False)
    monkeypatch.setattr(reach, "open_core", lambda: pytest.fail("loaded"))
    monkeypatch.setattr(reach, "onnx_devices", lambda adapters: ((CPU,), ()))
    monkeypatch.setattr(reach, "onnx_kinds", lambda: ("cpu",))
    assert reach.ask_runtimes() == ((CPU,), ())


def test_a_maker_that_is_not_known_is_refused_without_a_reason() -> None:
    assert why_no_runtime("apple", "0x1") == "no runtime here computes on it"
