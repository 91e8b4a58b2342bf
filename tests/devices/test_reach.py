from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from aipc.devices import Device, reach, reachable_devices
from aipc.devices.adapters import Adapter
from aipc.devices.reach import unreached
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


def test_what_the_cpu_imitates_hides_no_gpu_that_is_here() -> None:
    imitated = Device("WEBGPU", "webgpu", "software", facts={"type": "software"})
    (one,) = unreached([RADEON], [CPU, imitated], "Linux")
    assert one.adapter == RADEON


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
    assert "onnxruntime-genai-cuda==" in missing(RTX)
    assert "onnxruntime-ep-webgpu==" in missing(RADEON)
    assert "onnxruntime-genai-directml==" in missing(RADEON, "Windows")


def test_what_nothing_reaches_is_said_honestly() -> None:
    assert missing(XDNA) == (
        "no runtime here computes on it: "
        "use its GPU (`--device webgpu`, in Windows also directml) or the CPU"
    )
    assert missing(ARC, "FreeBSD") == "no runtime reaches it on FreeBSD"
    assert missing(RTX, "Darwin").startswith("its wheel: `pip") is True
