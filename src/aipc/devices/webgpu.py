"""WebGPU's adapters, listed and tried by ONNX Runtime's plugin in a short-lived process.

Never in the process that generates: the plugin keeps its graphics contexts once for a process, and
a second registration takes those of a loaded model with it when it ends (onnxruntime-ep-webgpu
0.4.0: "WebGPU contexts have not been initialized or have been cleaned up" ends the process).  And
what is tried there are drivers, which can crash.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from aipc import remedies
from aipc.child import Child, ChildEnded, encode, own_pipes, safe_environment
from aipc.devices.openvino import reason

PROVIDER = "WebGpuExecutionProvider"
PLUGIN = "onnxruntime_ep_webgpu"
_COMMAND = (sys.executable, "-m", "aipc.devices.webgpu")
_LIMIT_S = 60
_FLOAT, _HALF = 1, 10
"""Of onnx.proto's TensorProto.DataType."""
_SUM = (
    b'\x08\n:5\n\x0e\n\x01x\n\x01x\x12\x01y"\x03Add\x12\x01g'
    b"Z\x0f\n\x01x\x12\n\n\x08\x08%c\x12\x04\n\x02\x08\x04"
    b"b\x0f\n\x01y\x12\n\n\x08\x08%c\x12\x04\n\x02\x08\x04B\x04\n\x00\x10\x15"
)
"""ONNX without the package onnx, which devices do without; a test has onnx make the same."""


@dataclass(frozen=True)
class WebGPUAdapter:
    """One that computed a sum of float32 numbers when it was tried."""

    vendor: str
    device_id: int
    name: str
    is_software: bool
    """Whether the CPU computes, through a driver like SwiftShader or Mesa's lavapipe."""
    has_half: bool
    """Whether its shaders compute in float16, WebGPU's optional feature "shader-f16"."""


@dataclass(frozen=True)
class WebGPUFound:
    """``problems``: why one that is listed can't compute, or why none can be listed."""

    adapters: tuple[WebGPUAdapter, ...]
    problems: tuple[str, ...]


@cache
def read_webgpu() -> WebGPUFound:
    """Once a process; the plugin has to be installed."""
    try:
        child = Child(_COMMAND, env=safe_environment())
    except OSError as error:
        return WebGPUFound((), (f"no process to list WebGPU's devices in: {reason(error)}",))
    try:
        answer = child.answer(_LIMIT_S)
    except ChildEnded as ended:
        what = f"the process that listed WebGPU's devices {ended}: update the graphics driver"
        return WebGPUFound((), (what,))
    finally:
        child.end()
    adapters = tuple(WebGPUAdapter(**one) for one in answer["adapters"])
    return WebGPUFound(adapters, tuple(answer["problems"]))


def list_webgpu(module: Any, library: str) -> WebGPUFound:
    """Have ``module``, the package onnxruntime, load the plugin and try what it lists.

    The plugin stays loaded: what it lists lies in its memory.
    """
    try:
        module.register_execution_provider_library(PLUGIN, library)
    except RuntimeError as error:
        loader = remedies.command("vulkan")
        advice = f"; on Linux it needs a Vulkan loader: {loader}" if loader else ""
        return WebGPUFound((), (f"the WebGPU provider can't be loaded: {reason(error)}{advice}",))
    adapters, problems = [], []
    for entry in module.get_ep_devices():
        if entry.ep_name == PROVIDER:
            wrong = _failure(module, entry, _FLOAT)
            if wrong:
                what = f"WebGPU lists {name_of(entry.device)}, which can't compute: {wrong}"
                problems.append(what)
            else:
                adapters.append(_adapter(module, entry))
    return WebGPUFound(tuple(adapters), tuple(problems))


def _adapter(module: Any, entry: Any) -> WebGPUAdapter:
    device = entry.device
    return WebGPUAdapter(
        vendor=str(device.vendor),
        device_id=int(device.device_id),
        name=name_of(device),
        is_software=device.type == module.OrtHardwareDeviceType.CPU,
        # Nothing that is listed tells it; a device without says "requires f16".
        has_half=not _failure(module, entry, _HALF),
    )


def name_of(device: Any) -> str:
    """Of an ``OrtHardwareDevice``, as its maker calls it."""
    return str(device.metadata.get("Description") or device.vendor or "GPU")


def _failure(module: Any, entry: Any, element: int) -> str:
    """Why it can't add numbers of this type; empty: it can."""
    import numpy as np

    options = module.SessionOptions()
    options.log_severity_level = 4
    options.add_provider_for_devices([entry], {})
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    numbers = np.ones(4, np.float16 if element == _HALF else np.float32)
    try:
        session = module.InferenceSession(_sum_of(element), options)
        (total,) = session.run(None, {"x": numbers})
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors have no common base
        return reason(error)
    return "" if (total == 2).all() else "1 + 1 is not 2 there"


def _sum_of(element: int) -> bytes:
    """An .onnx file with one node, y = x + x, of four numbers."""
    return _SUM % (element, element)


def main() -> None:
    """In the child: one line of JSON."""
    _, answers = own_pipes()
    try:
        import onnxruntime
        import onnxruntime_ep_webgpu as plugin
    except ImportError as error:
        found = WebGPUFound((), (f"ONNX Runtime can't be loaded: {reason(error)}",))
    else:
        onnxruntime.set_default_logger_severity(4)
        found = list_webgpu(onnxruntime, plugin.get_library_path())
    answers.write(encode(asdict(found)))
    answers.flush()


if __name__ == "__main__":
    from aipc import telemetry

    telemetry.switch_off()
    main()
