from __future__ import annotations

import os
import sys

import pytest

from aipc.devices.adapters import (
    adapter_of,
    pci_name,
    read_linux_adapters,
    read_windows_adapters,
)
from aipc.devices.makers import makers
from aipc.devices.system.windows import registry_keys, registry_value

IDS = (
    "# comment\n8085  Before\n\t7d55  Not ours\n8086  Intel Corporation\n"
    "\t64a0  Lunar Lake [Intel Arc Graphics 130V / 140V]\n\t\t1043 0001  A board\n"
    "8087  After\n\t7d55  Not ours either\n"
)


@pytest.mark.parametrize("file", ["usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"])
def test_the_systems_own_list_names_a_device(tree, file) -> None:
    root = tree({file: IDS})
    assert pci_name("0x8086", "0x64a0", root) == "Intel Lunar Lake [Intel Arc Graphics 130V / 140V]"


def test_a_device_that_the_list_lacks_keeps_its_number(tree) -> None:
    assert pci_name("0x8086", "0x7d55", tree({"usr/share/misc/pci.ids": IDS})) == "Intel 0x7d55"


def test_npus_are_named_by_our_own_list(tmp_path) -> None:
    assert pci_name("0x8086", "0x643e", tmp_path) == "Intel NPU (Lunar Lake)"


def test_amd_has_two_numbers() -> None:
    assert makers()["0x1002"].name == makers()["0x1022"].name == "amd"


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the recorded trees have links")


def test_meteor_lake(recorded) -> None:
    gpu, npu = read_linux_adapters(recorded("meteor_lake"))
    assert (gpu.kind, gpu.maker, gpu.module) == ("gpu", "intel", "i915")
    assert gpu.name == "Intel Meteor Lake-P [Intel Arc Graphics]"
    assert (gpu.slot, gpu.device_id, gpu.node) == ("0000:00:02.0", "0x7d55", "/dev/dri/renderD128")
    assert (npu.kind, npu.name, npu.module) == ("npu", "Intel NPU (Meteor Lake)", "intel_vpu")
    assert (npu.driver, npu.node, npu.may_open) == ("1.28.0", "/dev/accel/accel0", True)


def test_lunar_lake_without_a_list_of_names(recorded) -> None:
    gpu, npu = read_linux_adapters(recorded("lunar_lake"))
    assert (gpu.name, gpu.module, gpu.memory_bytes) == ("Intel 0x64a0", "xe", None)
    assert (npu.name, npu.driver) == ("Intel NPU (Lunar Lake)", None)


def test_amd_has_two_gpus_and_an_npu(recorded) -> None:
    radeon, own, npu = read_linux_adapters(recorded("amd"))
    assert (radeon.maker, radeon.memory_bytes) == ("amd", 8_573_157_376)
    assert (own.kind, own.node) == ("gpu", None)
    assert (npu.kind, npu.maker, npu.name) == ("npu", "amd", "AMD NPU (Strix, Strix Halo, Krackan)")


def test_nvidia_is_named_by_its_driver_and_the_server_display_left_out(recorded) -> None:
    (gpu,) = read_linux_adapters(recorded("nvidia"))
    assert (gpu.name, gpu.driver) == ("NVIDIA GeForce RTX 4090", "580.82.07")


def test_nvidia_in_a_container_that_hides_the_bus(tree) -> None:
    root = tree({"proc/driver/nvidia/gpus/0000:0f:00.0/information": "Model: \t NVIDIA H200\n"})
    (gpu,) = read_linux_adapters(root)
    assert (gpu.name, gpu.slot, gpu.module) == ("NVIDIA H200", "0000:0f:00.0", "nvidia")


def test_a_virtual_machine_has_none(recorded, tmp_path) -> None:
    assert read_linux_adapters(recorded("none")) == ()
    assert read_linux_adapters(tmp_path / "empty") == ()


def test_a_device_that_this_user_may_not_open(recorded, monkeypatch) -> None:
    root = recorded("meteor_lake")
    monkeypatch.setattr(os, "access", lambda path, mode: "accel" not in str(path))
    gpu, npu = read_linux_adapters(root)
    assert (gpu.may_open, npu.may_open) == (True, False)


def test_a_gpu_without_a_driver(tree) -> None:
    slot = "sys/bus/pci/devices/0000:01:00.0"
    root = tree({f"{slot}/class": "0x030200", f"{slot}/vendor": "0x10de", f"{slot}/device": "0x1"})
    (gpu,) = read_linux_adapters(root)
    assert (gpu.module, gpu.node, gpu.name) == (None, None, "NVIDIA 0x1")


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
    assert (gpu.driver, gpu.memory_bytes, gpu.node) == ("32.0.101.6078", None, None)


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
