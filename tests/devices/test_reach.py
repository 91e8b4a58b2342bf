from __future__ import annotations

import subprocess
import sys

import pytest

from aipc.devices import Device, reach, reachable_devices
from aipc.errors import DeviceError

OV = Device("CPU", "cpu", "A CPU", precisions=("fp32", "bf16"), runtimes=("openvino",))
ONNX = Device("CPU", "cpu", "A CPU", precisions=("fp32",), runtimes=("onnx",))
CUDA = Device("CUDA", "cuda", "A GPU", runtimes=("onnx",))


@pytest.fixture
def answers(monkeypatch):
    """What each runtime lists, in place of the real ones."""

    def install(openvino=((OV,), ()), onnx=((ONNX, CUDA), ()), kinds=("cpu", "cuda")):
        monkeypatch.setattr(reach, "open_core", object)
        monkeypatch.setattr(reach, "list_devices", lambda core: openvino)
        monkeypatch.setattr(reach, "onnx_devices", lambda adapters: onnx)
        monkeypatch.setattr(reach, "onnx_kinds", lambda: kinds)

    return install


def test_the_cpu_is_one_device_with_both_runtimes(answers) -> None:
    answers()
    cpu, cuda = reachable_devices()
    assert (cpu.runtimes, cpu.precisions) == (("openvino", "onnx"), ("fp32", "bf16"))
    assert cuda.name == "CUDA"


def test_onnx_is_known_from_its_wheel_without_being_asked(answers, monkeypatch) -> None:
    answers()
    monkeypatch.setattr(reach, "onnx_devices", lambda adapters: pytest.fail("asked"))
    (cpu,) = reachable_devices(["openvino"])
    assert cpu.runtimes == ("openvino", "onnx")


def test_openvino_is_not_asked_for_onnx_alone(answers, monkeypatch) -> None:
    answers()
    monkeypatch.setattr(reach, "open_core", lambda: pytest.fail("loaded"))
    assert [device.name for device in reachable_devices(["onnx"])] == ["CPU", "CUDA"]


def test_one_runtime_that_fails_does_not_hide_the_other(answers, monkeypatch) -> None:
    answers()

    def broken() -> None:
        raise DeviceError("OpenVINO can't be loaded: no", "install it again")

    monkeypatch.setattr(reach, "open_core", broken)
    devices, (problem,) = reach.ask_runtimes()
    assert [device.name for device in devices] == ["CPU", "CUDA"]
    assert str(problem).startswith("OpenVINO can't be loaded")
    with pytest.raises(DeviceError, match="install it again"):
        reachable_devices(["openvino"])


def test_a_problem_without_any_device_is_an_error(answers) -> None:
    answers(onnx=((), ("ONNX Runtime can't be loaded: no",)))
    with pytest.raises(DeviceError, match="ONNX Runtime can't be loaded"):
        reachable_devices(["onnx"])


@pytest.mark.parametrize(
    ("runtimes", "absent"),
    [
        ("['onnx']", ["openvino", "onnxruntime", "onnxruntime_genai"]),
        ("['openvino']", ["onnxruntime", "openvino_genai"]),
    ],
)
def test_only_what_is_asked_for_is_loaded(runtimes: str, absent: list[str]) -> None:
    program = (
        "import sys; from aipc.devices import reachable_devices\n"
        f"reachable_devices({runtimes})\n"
        f"print([name for name in {absent} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
