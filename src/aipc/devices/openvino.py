"""The devices that OpenVINO reaches, with their properties."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any, Protocol, cast

from aipc import remedies
from aipc.devices.device import Device, kind_of
from aipc.devices.wheels import has_wheels
from aipc.errors import DeviceError

PRECISIONS = ("FP32", "BF16", "FP16", "FP8E4M3", "FP8E5M2", "INT8", "INT4")
_DRIVER = {"gpu": "GPU_DRIVER_VERSION", "npu": "NPU_DRIVER_VERSION"}
_MEMORY = {"gpu": "GPU_DEVICE_TOTAL_MEM_SIZE", "npu": "NPU_DEVICE_TOTAL_MEM_SIZE"}
_FACTS = {
    "architecture": "DEVICE_ARCHITECTURE",
    "execution_units": "GPU_EXECUTION_UNITS_COUNT",
    "type": "DEVICE_TYPE",
    "capabilities": "OPTIMIZATION_CAPABILITIES",
}


class Core(Protocol):
    """The part of ``openvino.Core`` that is used here."""

    @property
    def available_devices(self) -> Sequence[str]: ...

    def get_property(self, device: str, name: str) -> Any: ...


def open_core() -> Core:
    """OpenVINO's own entry.

    Raises:
        DeviceError: the package is missing or broken.
    """
    try:
        import openvino

        return cast("Core", openvino.Core())
    except (ImportError, RuntimeError) as error:
        fix = f"install it again: {remedies.reinstall_own('openvino')}"
        if not has_wheels("openvino"):
            fix = f"{platform.system()} on {platform.machine()} has none: take --runtime onnx"
        raise DeviceError(f"OpenVINO can't be loaded: {reason(error)}", fix) from error


def list_devices(core: Core) -> tuple[tuple[Device, ...], tuple[str, ...]]:
    """(devices, problems): a listed device that can't describe itself is a problem, in one line."""
    described = [_describe(core, name) for name in core.available_devices]
    devices = tuple(device for device in described if isinstance(device, Device))
    problems = tuple(problem for problem in described if isinstance(problem, str))
    return devices, problems


def _describe(core: Core, name: str) -> Device | str:
    try:
        return describe_device(core, name)
    except RuntimeError as error:  # all that OpenVINO raises
        return f"OpenVINO lists {name} and can't describe it: {reason(error)}"


def describe_device(core: Core, name: str) -> Device:
    """Read the properties that this device declares, and no others.

    Property names: OpenVINO's ``openvino/runtime/properties.hpp`` and its GPU and NPU
    plugins' pages.
    """
    kind = kind_of(name)
    declared = core.get_property(name, "SUPPORTED_PROPERTIES")

    def read(property_name: str) -> Any:
        return core.get_property(name, property_name) if property_name in declared else None

    facts = {fact: read(property_name) for fact, property_name in _FACTS.items()}
    driver = read(_DRIVER.get(kind, ""))
    return Device(
        name=name,
        kind=kind,
        full_name=str(read("FULL_DEVICE_NAME") or name),
        driver=None if driver is None else str(driver),
        memory_bytes=read(_MEMORY.get(kind, "")),
        precisions=tuple(p.lower() for p in PRECISIONS if p in (facts["capabilities"] or ())),
        runtimes=("openvino",),
        facts={fact: _plain(value) for fact, value in facts.items() if value is not None},
    )


def reason(error: Exception) -> str:
    """The last line of a vendor's message: those before it are positions in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _plain(value: Any) -> Any:
    """Ready for JSON; an enumeration such as Type.DISCRETE becomes "discrete"."""
    if isinstance(value, (str, int, float, list, tuple)):
        return value
    return str(value).rpartition(".")[2].lower()
