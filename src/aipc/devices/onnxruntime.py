"""The devices that ONNX Runtime reaches here.

A plain wheel computes on the CPU and is not loaded to learn that.  A wheel for an accelerator is
loaded, and its providers and devices are listed; the functions named ``is_…_available`` in ONNX
Runtime GenAI return True on every machine and are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aipc.devices.adapters import Adapter, read_adapters
from aipc.devices.device import SOFTWARE, Device
from aipc.devices.openvino import reason
from aipc.devices.system.cpu import read_cpu
from aipc.devices.webgpu import WebGPUAdapter, WebGPUFound, name_of, read_webgpu
from aipc.devices.wheels import installed, wheel_sets

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
}
PRECISIONS = {
    "cpu": ("fp32", "int8"),
    "cuda": ("fp32", "bf16", "fp16", "int8"),
    "directml": ("fp32", "fp16", "int8"),
    "webgpu": ("fp32", "fp16"),
}
"""Those that the provider has kernels for, by onnxruntime.ai's pages on execution providers; of
WebGPU's devices each is asked whether it has fp16."""

_ABSENT = {
    "cuda": "no NVIDIA GPU here",
    "directml": "no GPU with DirectX 12 here",
    "webgpu": "no GPU here through Vulkan, Direct3D 12 or Metal",
}
_SOFTWARE_NAME = "software adapter, computed by the CPU"

Found = tuple[tuple[Device, ...], tuple[str, ...]]


def onnx_kinds(found: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The kinds of device that the installed wheels are for; empty without ONNX Runtime GenAI."""
    here = installed() if found is None else found
    whole = [one for one in wheel_sets() if all(package in here for package in one.packages)]
    return tuple(dict.fromkeys(kind for one in whole for kind in one.kinds))


def onnx_devices(adapters: Callable[[], Sequence[Adapter]] = read_adapters) -> Found:
    """(devices, problems), the CPU first; loads ONNX Runtime only where a wheel could reach more.

    ``adapters`` is called for the machine's GPUs in that case.
    """
    kinds = onnx_kinds()
    if not kinds:
        return (), ()
    cpu = Device("CPU", "cpu", read_cpu().name, precisions=PRECISIONS["cpu"], runtimes=("onnx",))
    if kinds == ("cpu",):
        return (cpu,), ()
    here, devices, problems = adapters(), [cpu], list[str]()
    built_in = [kind for kind in kinds if kind not in {"cpu", "webgpu"}]
    if built_in:
        try:
            import onnxruntime
        except ImportError as error:
            return (), (f"ONNX Runtime can't be loaded: {reason(error)}",)
        found, issues = list_accelerators(onnxruntime, built_in, here)
        devices += found
        problems += issues
    if "webgpu" in kinds:
        found, issues = webgpu_devices(read_webgpu(), here)
        devices += found
        problems += issues
    return tuple(devices), tuple(problems)


def webgpu_devices(listed: WebGPUFound, adapters: Sequence[Adapter]) -> Found:
    """(devices, problems) of what the plugin for WebGPU lists."""
    if not listed.adapters and not listed.problems:
        return (), (_nothing("webgpu", ()),)
    known = [_known(one.vendor, one.device_id, one.name, adapters) for one in listed.adapters]
    numbered = _numbered("webgpu", known)
    pairs = zip(numbered, listed.adapters, strict=True)
    return tuple(_as_tried(device, one) for device, one in pairs), listed.problems


def _as_tried(device: Device, one: WebGPUAdapter) -> Device:
    precisions = tuple(p for p in device.precisions if one.has_half or p != "fp16")
    if not one.is_software:
        return replace(device, precisions=precisions)
    facts = {**device.facts, "type": SOFTWARE}
    return replace(device, full_name=_SOFTWARE_NAME, precisions=precisions, facts=facts)


def list_accelerators(module: Any, kinds: Iterable[str], adapters: Sequence[Adapter]) -> Found:
    """(devices, problems) of these kinds, by the package ``module``, ONNX Runtime."""
    devices: list[Device] = []
    problems: list[str] = []
    providers, listed = module.get_available_providers(), module.get_ep_devices()
    for kind in kinds:
        found = _of_kind(kind, providers, listed, adapters)
        devices += _numbered(kind, found)
        if not found:
            problems.append(_nothing(kind, providers))
    return tuple(devices), tuple(problems)


def _of_kind(
    kind: str, providers: Sequence[str], listed: Sequence[Any], adapters: Sequence[Adapter]
) -> list[Adapter]:
    """The GPUs that this provider drives."""
    own = [entry for entry in listed if entry.ep_name == PROVIDERS[kind]]
    if own:
        found = (entry.device for entry in own)
        return [_known(one.vendor, one.device_id, name_of(one), adapters) for one in found]
    if PROVIDERS[kind] not in providers:
        return []
    # A provider that is built in and lists no devices of its own takes the machine's.
    makers = {"nvidia"} if kind == "cuda" else {adapter.maker for adapter in adapters}
    return [adapter for adapter in adapters if adapter.kind == "gpu" and adapter.maker in makers]


def _known(vendor: str, device_id: int, name: str, adapters: Sequence[Adapter]) -> Adapter:
    """What the system knows of a device, found by its maker's number."""
    number = f"0x{device_id:04x}"
    for adapter in adapters:
        if adapter.device_id == number:
            return adapter
    return Adapter("gpu", str(vendor).lower(), name, device_id=number)


def _numbered(kind: str, adapters: Sequence[Adapter]) -> Iterator[Device]:
    for at, adapter in enumerate(adapters):
        yield Device(
            name=kind.upper() if len(adapters) == 1 else f"{kind.upper()}.{at}",
            kind=kind,
            full_name=adapter.name,
            driver=adapter.driver,
            memory_bytes=adapter.memory_bytes,
            precisions=PRECISIONS[kind],
            runtimes=("onnx",),
            facts={"provider": PROVIDERS[kind], "maker": adapter.maker, "slot": adapter.slot},
        )


def _nothing(kind: str, providers: Sequence[str]) -> str:
    wheel = next(one for one in wheel_sets() if one.kinds[-1] == kind)
    if PROVIDERS[kind] in providers or kind == "webgpu":
        return f"{wheel.packages[-1]} is installed, and ONNX Runtime finds {_ABSENT[kind]}"
    return (
        f"{wheel.packages[0]} is installed, and the ONNX Runtime that is loaded has no "
        f"{PROVIDERS[kind]}: it offers {', '.join(providers)}; `aipc doctor` shows what clashes"
    )
