from __future__ import annotations

import os
import sys

import pytest

from aipc.devices.adapters.linux import read_linux_adapters

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
    assert (npu.kind, npu.maker, npu.name) == ("npu", "amd", "AMD NPU (Strix, Krackan)")


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
