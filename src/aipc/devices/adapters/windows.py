"""GPUs and NPUs in the Windows registry: one key an installed driver.

Keys and values: Microsoft's pages "System-Defined Device Setup Classes" (Display,
ComputeAccelerator) and "Registering hardware information" (HardwareInformation.qwMemorySize).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from aipc.devices.adapters.adapter import Adapter, makers
from aipc.devices.system.windows import registry_keys

_CLASSES = {
    "gpu": "{4d36e968-e325-11ce-bfc1-08002be10318}",
    "npu": "{f01a9d53-3ff6-48d2-9f97-c8a7004be10c}",
}
_CONTROL = r"SYSTEM\CurrentControlSet\Control\Class"
_MATCHING = re.compile(r"ven_([0-9a-f]{4})&dev_([0-9a-f]{4})", re.IGNORECASE)


def read_windows_adapters() -> tuple[Adapter, ...]:
    """All of them, GPUs first; empty elsewhere."""
    found = [adapter_of(kind, values) for kind, key in _CLASSES.items() for values in _drivers(key)]
    return tuple(adapter for adapter in found if adapter is not None)


def adapter_of(kind: str, values: Mapping[str, Any]) -> Adapter | None:
    """From the values of one driver's key; None for a device that no maker here made."""
    match = _MATCHING.search(str(values.get("MatchingDeviceId", "")))
    maker = match and makers().get(f"0x{match[1].lower()}")
    if not match or not maker:
        return None
    return Adapter(
        kind=kind,
        maker=maker.name,
        name=str(values.get("DriverDesc", maker.label)),
        device_id=f"0x{match[2].lower()}",
        driver=values.get("DriverVersion"),
        memory_bytes=_size(values.get("HardwareInformation.qwMemorySize")),
    )


def _size(value: Any) -> int | None:
    """Drivers write it as a number or as its bytes."""
    if isinstance(value, bytes):
        value = int.from_bytes(value, "little")
    return value if isinstance(value, int) and value > 0 else None


def _drivers(class_key: str) -> Iterator[Mapping[str, Any]]:
    """The values of each numbered key ("0000") below a class."""
    return (values for name, values in registry_keys(rf"{_CONTROL}\{class_key}") if name.isdigit())
