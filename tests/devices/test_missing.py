from __future__ import annotations

import dataclasses

import pytest

from aipc.devices.adapters.adapter import Adapter
from aipc.devices.device import Device
from aipc.devices.missing import unreached

ARC = Adapter("gpu", "intel", "Arc", module="xe", node="/dev/dri/renderD128")
NPU = Adapter("npu", "intel", "AI Boost", module="intel_vpu", node="/dev/accel/accel0")
RTX = Adapter("gpu", "nvidia", "RTX", module="nvidia")
RADEON = Adapter("gpu", "amd", "Radeon", module="amdgpu")
XDNA = Adapter("npu", "amd", "AMD NPU", module="amdxdna")
CPU = Device("CPU", "cpu", "A CPU")


def missing(adapter: Adapter, system: str = "Linux") -> str:
    (one,) = unreached([adapter], [CPU], system)
    assert one.adapter == adapter
    return one.missing


@pytest.mark.parametrize(
    ("adapter", "kind"),
    [(ARC, "gpu"), (NPU, "npu"), (RTX, "cuda"), (RADEON, "webgpu"), (RTX, "directml")],
)
def test_what_a_runtime_reaches_misses_nothing(adapter: Adapter, kind: str) -> None:
    assert unreached([adapter], [CPU, Device("X", kind, "X")], "Linux") == ()


def test_intels_want_their_drivers() -> None:
    assert "intel-opencl-icd" in missing(ARC)
    assert "linux-npu-driver" in missing(NPU)
    assert "Windows Update" in missing(NPU, "Windows")


def test_permission_goes_before_the_driver() -> None:
    shut = dataclasses.replace(NPU, may_open=False)
    assert missing(shut).startswith("you may not open /dev/accel/accel0: `sudo usermod -aG render")


@pytest.mark.parametrize("module", [None, "nouveau"])
def test_nvidia_without_its_driver(module: str | None) -> None:
    assert "NVIDIA's driver is not loaded" in missing(dataclasses.replace(RTX, module=module))


def test_a_wheel_is_named() -> None:
    assert 'pip install "aipc[cuda]"' in missing(RTX)
    assert 'pip install "aipc[webgpu]"' in missing(RADEON)
    assert 'pip install "aipc[directml]"' in missing(RADEON, "Windows")


def test_what_nothing_reaches_is_said_honestly() -> None:
    assert missing(XDNA) == "no runtime here computes on AMD's NPUs"
    assert missing(ARC, "FreeBSD") == "no runtime reaches it on FreeBSD"
    assert missing(RTX, "Darwin").startswith("its wheel: `pip") is True
