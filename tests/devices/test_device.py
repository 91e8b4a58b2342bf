from __future__ import annotations

import pytest

from aipc.devices.device import driver_advice, resolve_device
from aipc.errors import DeviceError, UsageError


@pytest.mark.parametrize(
    ("asked", "available", "expected"),
    [
        ("cpu", ["CPU"], "CPU"),
        ("CPU", ["CPU"], "CPU"),
        (" Gpu ", ["CPU", "GPU"], "GPU"),
        ("gpu.0", ["CPU", "GPU"], "GPU"),
        ("gpu", ["CPU", "GPU.0", "GPU.1"], "GPU.0"),
        ("gpu.1", ["CPU", "GPU.0", "GPU.1"], "GPU.1"),
        ("npu", ["CPU", "NPU"], "NPU"),
        ("auto", ["CPU", "GPU", "NPU"], "CPU"),
        ("auto", ["GPU"], "GPU"),
        ("cuda", ["CPU", "CUDA.0", "CUDA.1"], "CUDA.0"),
        ("CUDA.1", ["CPU", "CUDA.0", "CUDA.1"], "CUDA.1"),
        ("cuda.0", ["CPU", "CUDA"], "CUDA"),
        ("directml.1", ["DIRECTML.0", "DIRECTML.1"], "DIRECTML.1"),
        ("webgpu", ["CPU", "WEBGPU"], "WEBGPU"),
    ],
)
def test_a_name_leads_to_the_vendors(asked: str, available: list[str], expected: str) -> None:
    assert resolve_device(asked, available) == expected


@pytest.mark.parametrize("asked", ["tpu", "", "gpu.", "gpu.x", "cpu.0", "npu:1", "webgpu.0"])
def test_an_unknown_name_is_wrong_usage(asked: str) -> None:
    with pytest.raises(UsageError, match="choose one of auto, npu, gpu"):
        resolve_device(asked, ["CPU"])


def test_a_missing_npu_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    with pytest.raises(DeviceError) as caught:
        resolve_device("NPU", ["CPU", "GPU.0", "GPU.1"])
    assert caught.value.what == (
        "this machine has no NPU that the runtime can reach, only CPU and GPU.0 and GPU.1"
    )
    assert caught.value.fix.startswith("ask for cpu or gpu, or, if it has an Intel Core Ultra")
    assert "github.com/intel/linux-npu-driver" in caught.value.fix
    assert "`aipc devices`" in caught.value.fix


def test_a_missing_second_gpu_names_the_first() -> None:
    with pytest.raises(DeviceError) as caught:
        resolve_device("gpu.1", ["CPU", "GPU"])
    assert str(caught.value) == "this machine has no GPU.1, only GPU; ask for gpu"


def test_a_machine_without_any_device_says_so() -> None:
    with pytest.raises(DeviceError, match="no device at all"):
        resolve_device("auto", [])


def test_a_missing_wheel_is_told_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    for name, package in (("cuda", "genai-cuda"), ("directml", "genai-directml")):
        with pytest.raises(DeviceError, match=f"pip install onnxruntime-{package}=="):
            resolve_device(name, ["CPU"])


def test_beside_its_wheels_a_missing_gpu_is_told_with_the_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = {"onnxruntime-genai-cuda": "0.18.0", "onnxruntime-gpu": "1.31.1"}
    monkeypatch.setattr("aipc.devices.wheels.installed", lambda: cuda)
    assert "driver 580" in driver_advice("cuda", "Linux")
    mixture = cuda | {"onnxruntime": "1.31.1"}
    monkeypatch.setattr("aipc.devices.wheels.installed", lambda: mixture)
    assert driver_advice("cuda", "Linux").startswith("`pip uninstall -y onnxruntime onnxruntime-")


def test_directml_is_not_promised_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    with pytest.raises(DeviceError) as caught:
        resolve_device("directml", ["CPU"])
    assert caught.value.fix == "ask for cpu (`aipc devices` shows what is here)"


def test_driver_advice_is_for_the_system_at_hand() -> None:
    assert "Windows Update" in driver_advice("npu", "Windows")
    assert "intel-opencl-icd" in driver_advice("gpu", "Linux")
    assert driver_advice("npu", "Darwin") == ""
