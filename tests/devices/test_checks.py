from __future__ import annotations

import dataclasses

import pytest

from aipc.devices import checks
from aipc.devices.adapters import Adapter
from aipc.devices.checks import (
    FAIL,
    PASS,
    WARN,
    Check,
    CheckContext,
    requirement,
    requirements,
    run_checks,
)
from aipc.devices.device import Device
from aipc.devices.machine import Machine, Surroundings
from aipc.devices.reach import unreached
from aipc.devices.system.cpu import Cpu
from aipc.devices.system.memory import Memory
from aipc.devices.wheels import Clash

GB = 10**9
NPU = Adapter(
    "npu", "intel", "AI Boost", "s", "0x7d1d", "intel_vpu", "1.28.0", node="/dev/accel/accel0"
)
RTX = Adapter("gpu", "nvidia", "RTX 4090", "t", "0x2684", "nvidia", "580.82.07")
ALL = ("openvino", "onnx")


def device(name: str, *runtimes: str) -> Device:
    return Device(name, name.lower(), f"A {name}", runtimes=runtimes)


@pytest.fixture
def healthy() -> CheckContext:
    """A laptop with an NPU, on which nothing is wrong."""
    machine = Machine(
        devices=(device("CPU", *ALL), device("NPU", "openvino")),
        adapters=(NPU,),
        unreached=(),
        cpu=Cpu("Core Ultra 7", "x86_64", 16, 22, ("avx2", "avx_vnni")),
        memory=Memory(32 * GB, 20 * GB),
        system="Linux",
        python="3.12.1",
        versions={"openvino": "2026.4.1", "onnxruntime-genai": "0.18.0"},
        problems=(),
    )
    surroundings = Surroundings(power_profile="balanced", kernel="6.14.0-37-generic")
    return CheckContext(machine, surroundings, "/home/u/aipc", 100 * GB, "Linux")


@pytest.fixture
def change(healthy):
    """The healthy one with some fields of it, its machine or its surroundings changed."""

    def make(**fields) -> CheckContext:
        patient = healthy
        for name, value in fields.items():
            if hasattr(patient, name):
                patient = dataclasses.replace(patient, **{name: value})
                continue
            part = "machine" if hasattr(patient.machine, name) else "surroundings"
            changed = dataclasses.replace(getattr(patient, part), **{name: value})
            patient = dataclasses.replace(patient, **{part: changed})
        return patient

    return make


def found(patient: CheckContext, name: str) -> Check:
    """The worst of that name."""
    return next(
        check
        for outcome in (FAIL, WARN, PASS)
        for check in run_checks(patient)
        if (check.name, check.outcome) == (name, outcome)
    )


def test_a_healthy_machine_passes_everything(healthy) -> None:
    told = run_checks(healthy)
    assert {check.outcome for check in told} == {PASS}
    assert [check.name for check in told] == [
        *("python", "processor", "memory", "store", "disk", "power", "packages"),
        *("runtime openvino", "runtime onnx", "npu", "driver", "permission"),
    ]
    assert not any(check.fix for check in told)


@pytest.mark.parametrize(
    ("fields", "name", "outcome", "said"),
    [
        ({"memory": Memory(8 * GB, 2 * GB)}, "memory", WARN, "close programs"),
        ({"memory": Memory(4 * GB, 4 * GB)}, "memory", WARN, "4.0 GB of 4.0 GB"),
        ({"room": 3 * GB}, "disk", WARN, "AIPC_HOME"),
        ({"refusal": "'/home/u' is a file"}, "store", FAIL, "AIPC_HOME"),
        ({"power_profile": "power-saver"}, "power", WARN, "plug it in"),
        ({"power_profile": "battery saver"}, "power", WARN, "everything is slower"),
        ({"is_remote_desktop": True}, "session", WARN, "hides GPUs"),
        ({"is_wsl": True}, "session", WARN, "has no NPU"),
        ({"kernel": "6.5.0-14-generic"}, "kernel", FAIL, "6.6 or newer"),
        ({"adapters": (dataclasses.replace(NPU, driver="1.5.1"),)}, "driver", FAIL, "than 1.10.0"),
        (
            {"adapters": (dataclasses.replace(NPU, may_open=False),)},
            "permission",
            FAIL,
            "usermod -aG render",
        ),
        ({"devices": (device("CPU", "onnx"),)}, "runtime openvino", FAIL, "reaches no device"),
        ({"problems": ("OpenVINO is broken; mend it",)}, "device", FAIL, "mend it"),
        ({"cpu": Cpu("Atom", "x86_64", 4, 4, ())}, "processor", WARN, "without AVX2"),
        ({"versions": {"onnxruntime-ep-webgpu": "0.4.0"}}, "vulkan", FAIL, "libvulkan1"),
    ],
)
def test_what_is_wrong_is_found_with_what_mends_it(change, fields, name, outcome, said) -> None:
    check = found(change(**fields), name)
    assert check.outcome == outcome
    assert said in f"{check.what}; {check.fix}"


def test_a_gpu_that_nothing_reaches_is_a_warning_with_its_wheel(change) -> None:
    missing = unreached([RTX], [device("CPU", *ALL)], "Linux")
    check = found(change(adapters=(RTX,), unreached=missing), "gpu")
    assert (check.outcome, "onnxruntime-genai-cuda==" in check.fix) == (WARN, True)


def test_a_permission_is_told_once(change) -> None:
    shut = dataclasses.replace(NPU, may_open=False)
    missing = unreached([shut], [device("CPU", *ALL)], "Linux")
    told = run_checks(change(adapters=(shut,), unreached=missing))
    assert [check.name for check in told if check.outcome != PASS] == ["permission"]


def test_what_can_not_be_mended_has_no_fix(change) -> None:
    amd = Adapter("npu", "amd", "AMD NPU", module="amdxdna")
    check = found(change(adapters=(amd,), unreached=unreached([amd], [], "Linux")), "npu")
    assert (check.outcome, check.fix) == (WARN, "")


def test_where_nothing_would_compute_that_is_what_is_wrong(change) -> None:
    told = run_checks(change(versions={}))
    (packages,) = [check for check in told if check.name == "packages"]
    assert packages.outcome == FAIL
    assert "no runtime" in packages.what
    assert "pip install" in packages.fix


def test_packages_that_clash_fail_once(change, monkeypatch) -> None:
    clash = Clash(("a", "b"), "a and b clash", "remove a")
    monkeypatch.setattr(checks, "clashes", lambda: (clash,))
    told = run_checks(change(problems=(str(clash),)))
    assert [check for check in told if check.outcome == FAIL] == [
        Check("packages", FAIL, "a and b clash", "remove a")
    ]


def test_vulkan_is_no_matter_without_webgpu(change) -> None:
    patient = change(versions={"onnxruntime-ep-webgpu": "0.4.0"}, has_vulkan=True)
    assert found(patient, "vulkan").outcome == PASS
    assert "vulkan" not in [check.name for check in run_checks(change(has_vulkan=False))]


def test_an_old_nvidia_driver(change) -> None:
    old = dataclasses.replace(RTX, driver="550.163.01")
    check = found(change(adapters=(old,)), "driver")
    assert check.what == "NVIDIA driver 550.163.01 is older than 580.65.06"


NPU_DRIVERS = Adapter("npu", "intel", "AI Boost", device_id="0x7d1d")


def test_every_entry_has_its_source() -> None:
    assert all(entry.source and entry.fix and entry.minimum for entry in requirements())


def test_one_model_may_want_more_than_its_maker() -> None:
    panther_lake = Adapter("npu", "intel", "AI Boost", device_id="0xb03e")
    assert requirement(NPU_DRIVERS, "Linux").minimum == "1.10.0"
    assert requirement(panther_lake, "Linux").minimum == "1.28.0"
    assert requirement(Adapter("gpu", "amd", "Radeon"), "Linux") is None


@pytest.mark.parametrize(
    ("version", "is_met"),
    [("1.9.9", False), ("1.10.0", True), ("1.10.0.20241107-11", True), ("1.28.0", True)],
)
def test_versions_are_compared_number_by_number(version: str, is_met: bool) -> None:
    assert requirement(NPU_DRIVERS, "Linux").is_met(version) is is_met


@pytest.mark.parametrize(
    ("version", "is_met"), [("32.0.15.7652", False), ("32.0.15.8097", True), ("32.0.101.1", True)]
)
def test_nvidias_number_in_windows(version: str, is_met: bool) -> None:
    gpu = Adapter("gpu", "nvidia", "RTX")
    assert requirement(gpu, "Windows").is_met(version) is is_met


def test_a_device_in_quarantine_is_shown(change):
    shown = found(change(quarantined=("NPU computes x wrongly",)), "trust")
    assert (shown.outcome, shown.what) == (WARN, "NPU computes x wrongly")
    assert "driver" in shown.fix
