from __future__ import annotations

import sys

import pytest

from aipc.devices.adapters.windows import adapter_of, read_windows_adapters
from aipc.devices.system.windows import registry_keys, registry_value

ARC = {
    "MatchingDeviceId": r"PCI\VEN_8086&DEV_7D55&SUBSYS_00000000",
    "DriverDesc": "Intel(R) Arc(TM) Graphics",
    "DriverVersion": "32.0.101.6078",
    "HardwareInformation.qwMemorySize": 134_217_728,
}


def test_a_gpu() -> None:
    gpu = adapter_of("gpu", ARC)
    assert gpu is not None
    assert (gpu.maker, gpu.name, gpu.device_id) == ("intel", "Intel(R) Arc(TM) Graphics", "0x7d55")
    assert (gpu.driver, gpu.memory_bytes, gpu.node) == ("32.0.101.6078", 134_217_728, None)


def test_a_size_that_the_driver_wrote_as_bytes() -> None:
    size = (8 * 2**30).to_bytes(8, "little")
    gpu = adapter_of("gpu", ARC | {"HardwareInformation.qwMemorySize": size})
    assert gpu is not None
    assert gpu.memory_bytes == 8 * 2**30


@pytest.mark.parametrize("size", [0, None, "8 GB"])
def test_a_size_that_says_nothing_is_unknown(size: object) -> None:
    gpu = adapter_of("gpu", ARC | {"HardwareInformation.qwMemorySize": size})
    assert gpu is not None
    assert gpu.memory_bytes is None


@pytest.mark.parametrize(
    "matching", ["root\\basicdisplay", r"pci\ven_1af4&dev_1050", "", r"TERMINPUT_BUS\UMB"]
)
def test_displays_that_compute_nothing_are_left_out(matching: str) -> None:
    assert adapter_of("gpu", ARC | {"MatchingDeviceId": matching}) is None


@pytest.mark.skipif(sys.platform == "win32", reason="there it has one")
def test_elsewhere_there_is_no_registry() -> None:
    assert read_windows_adapters() == ()
    assert list(registry_keys("SOFTWARE")) == []
    assert registry_value("SOFTWARE", "x") is None


@pytest.mark.skipif(sys.platform != "win32", reason="needs Windows")
def test_windows_reads_its_own() -> None:
    assert isinstance(read_windows_adapters(), tuple)
    assert dict(registry_keys(r"SOFTWARE\Microsoft"))
