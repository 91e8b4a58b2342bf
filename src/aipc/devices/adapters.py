"""GPUs and NPUs as the operating system sees them, whether or not a runtime reaches them.

Their makers are those of makers.toml.  Linux: ``/sys/bus/pci/devices/SLOT`` holds, as the kernel's
documents describe (ABI/testing/sysfs-bus-pci), the files class, vendor and device, the link
driver, and the folders drm and accel with the names of its nodes; NVIDIA's driver has /proc.
A GPU on no bus, as in Arm's systems, is known by its node's device in /sys/class/drm, whose uevent
has what the device tree calls it (OF_COMPATIBLE_0).
Windows: one registry key an installed driver; keys and values are those of Microsoft's pages
"System-Defined Device Setup Classes" (Display, ComputeAccelerator) and "Registering hardware
information" (HardwareInformation.qwMemorySize).  A device on no bus is ACPI's there and its vendor
four letters, VEN_QCOM&DEV_0C36 or QCOM0C36: Microsoft's page "Device management namespace objects
in ACPI 5.0".
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aipc.devices.makers import Maker, makers, npus
from aipc.devices.nvml import Nvml, open_nvml
from aipc.devices.system.files import read_number, read_text

_PCI_NAMES = ("usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids")
ROOT = Path("/")
_DISPLAY, _ACCELERATOR = "0x03", "0x12"  # PCI base classes
_OWN_MEMORY = ("mem_info_vram_total", "tile0/physical_vram_size_bytes")  # amdgpu, xe
_CLASSES = {
    "gpu": "{4d36e968-e325-11ce-bfc1-08002be10318}",
    "npu": "{f01a9d53-3ff6-48d2-9f97-c8a7004be10c}",
}
_CONTROL = r"SYSTEM\CurrentControlSet\Control\Class"
_MATCHING = re.compile(r"ven_([0-9a-f]{4})&dev_([0-9a-f]{4})", re.IGNORECASE)
_ACPI = re.compile(r"^acpi\\(?:ven_)?([a-z]{4})(?:&dev_)?([0-9a-f]{4})", re.IGNORECASE)
_CARVE_OUT = 2**29
"""Bytes. Windows calls "dedicated" what firmware sets aside of the machine's memory for a GPU that
shares it: 128 MiB of Intel's (issue 364 of lablup/all-smi), up to 512 MiB of AMD's by default."""
_COMPATIBLE = re.compile(r"^OF_COMPATIBLE_0=(\w+),([\w-]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Adapter:
    kind: str
    """Its family: "gpu" or "npu"."""
    maker: str
    """As in makers.toml: "intel", "nvidia", "amd", "qualcomm"."""
    name: str
    slot: str = ""
    """Its PCI address: "0000:00:02.0"; empty where the system does not report it."""
    device_id: str = ""
    """The maker's number of the model: "0x7d55"."""
    module: str | None = None
    """Linux: the kernel's driver for it ("xe", "nvidia"); None: it has none."""
    driver: str | None = None
    """The driver's version; None where the system does not report it."""
    memory_bytes: int | None = None
    """Memory of its own; None where it uses the machine's or the system does not report it."""
    node: str | None = None
    """Linux: the file through which programs reach it."""
    may_open: bool = True
    """Whether this user may open ``node``."""


def read_adapters() -> tuple[Adapter, ...]:
    """Read the operating system's; empty on macOS, whose GPU no runtime here reaches."""
    if sys.platform == "win32":
        return read_windows_adapters()
    if sys.platform == "darwin":
        return ()
    adapters, nvml = read_linux_adapters(), open_nvml()
    return adapters if nvml is None else add_nvml(adapters, nvml)


def add_nvml(adapters: Sequence[Adapter], nvml: Nvml) -> tuple[Adapter, ...]:
    """The same with what NVML knows of NVIDIA's, and those that only NVML sees (containers)."""
    by_slot = {adapter.slot: adapter for adapter in adapters}
    driver = nvml.driver()
    for gpu in nvml.gpus():
        slot, memory = gpu.slot() or "", gpu.memory()
        known = by_slot.get(slot) or Adapter("gpu", "nvidia", "NVIDIA GPU", slot, module="nvidia")
        by_slot[slot] = replace(
            known,
            name=gpu.name() or known.name,
            driver=driver or known.driver,
            memory_bytes=memory[1] if memory else known.memory_bytes,
        )
    return tuple(by_slot.values())


def pci_name(vendor: str, device: str, root: Path) -> str:
    """What to call a device: from the system's own list of PCI names, where it has one."""
    known = npus().get((vendor, device))
    if known:
        return known.name
    label = makers()[vendor].label
    for file in _PCI_NAMES:
        if (root / file).is_file():
            name = _listed_name(root / file, vendor[2:], device[2:])
            return f"{label} {name}" if name else f"{label} {device}"
    return f"{label} {device}"


def _listed_name(file: Path, vendor: str, device: str) -> str:
    """From pci.ids: lines "vvvv  Vendor", below each "<tab>dddd  Device"."""
    inside = False
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if inside and line.startswith(f"\t{device}  "):
                return line[7:].strip()
            if not line.startswith(("\t", "#")):
                inside = line.startswith(f"{vendor}  ")
    return ""


def read_linux_adapters(root: Path = ROOT) -> tuple[Adapter, ...]:
    """All of them in the order of their slots."""
    found = {adapter.slot: adapter for adapter in _nvidia_adapters(root)}
    for folder in (root / "sys/bus/pci/devices").glob("*"):
        vendor = read_text(folder / "vendor") or ""
        kind = _kind(folder, vendor)
        if kind and vendor in makers():
            found[folder.name] = _adapter(kind, vendor, folder, root)
    return (*(found[slot] for slot in sorted(found)), *_without_bus(root))


def _without_bus(root: Path) -> Iterator[Adapter]:
    """GPUs that the device tree names, each by the node through which programs reach it."""
    for entry in sorted((root / "sys/class/drm").glob("renderD*")):
        named = _COMPATIBLE.search(read_text(entry / "device/uevent") or "")
        maker = makers().get(named[1]) if named else None
        if named is None or maker is None:
            continue
        node = root / "dev/dri" / entry.name
        yield Adapter(
            kind="gpu",
            maker=maker.name,
            name=f"{maker.label} GPU ({named[2].partition('-')[0]})",
            module=_module(entry / "device"),
            node=f"/dev/dri/{entry.name}",
            may_open=os.access(node, os.R_OK | os.W_OK),
        )


def _kind(folder: Path, vendor: str) -> str:
    """One of "gpu" and "npu"; empty for anything else."""
    if (vendor, read_text(folder / "device") or "") in npus():
        return "npu"
    pci_class = read_text(folder / "class") or ""
    if pci_class.startswith(_DISPLAY) or _module(folder) == "amdgpu":
        return "gpu"
    is_npu = pci_class.startswith(_ACCELERATOR) and vendor == "0x8086"
    return "npu" if is_npu else ""


def _adapter(kind: str, vendor: str, folder: Path, root: Path) -> Adapter:
    device, module = read_text(folder / "device") or "", _module(folder)
    node = _node(folder, root)
    model = _nvidia_model(root, folder.name) if module == "nvidia" else ""
    sizes = (read_number(folder / file) for file in _OWN_MEMORY)
    return Adapter(
        kind=kind,
        maker=makers()[vendor].name,
        name=model or pci_name(vendor, device, root),
        slot=folder.name,
        device_id=device,
        module=module,
        driver=_driver_version(kind, module, root),
        memory_bytes=next(filter(None, sizes), None),
        node=None if node is None else f"/{node.relative_to(root).as_posix()}",
        may_open=node is None or os.access(node, os.R_OK | os.W_OK),
    )


def _module(folder: Path) -> str | None:
    link = folder / "driver"
    return link.resolve().name if link.is_symlink() else None


def _node(folder: Path, root: Path) -> Path | None:
    for pattern, nodes in (("drm/renderD*", "dev/dri"), ("accel/accel*", "dev/accel")):
        for entry in sorted(folder.glob(pattern)):
            return root / nodes / entry.name
    return None


def _driver_version(kind: str, module: str | None, root: Path) -> str | None:
    """Of the part that is installed apart from the kernel; None where there is none.

    For Intel's NPU: the version in its user mode library's name, libze_intel_npu.so.1.28.0.
    """
    if kind != "npu" or module != "intel_vpu":
        return read_text(root / f"sys/module/{module}/version") if module else None
    for folder in ("usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib", "usr/local/lib"):
        for library in sorted((root / folder).glob("libze_intel_npu.so.*.*"), reverse=True):
            return library.name.partition(".so.")[2]
    return None


def _nvidia_adapters(root: Path) -> Iterator[Adapter]:
    """From /proc, because containers often hide them in /sys."""
    for folder in sorted((root / "proc/driver/nvidia/gpus").glob("*")):
        yield Adapter(
            kind="gpu",
            maker="nvidia",
            name=_nvidia_model(root, folder.name) or "NVIDIA GPU",
            slot=folder.name,
            module="nvidia",
            driver=read_text(root / "sys/module/nvidia/version"),
        )


def _nvidia_model(root: Path, slot: str) -> str:
    """What follows "Model:" in the driver's file."""
    text = read_text(root / "proc/driver/nvidia/gpus" / slot / "information") or ""
    models = [line.partition(":")[2].strip() for line in text.splitlines() if "Model:" in line]
    return models[0] if models else ""


def read_windows_adapters() -> tuple[Adapter, ...]:
    """All of them, GPUs first; empty elsewhere."""
    from aipc.devices.system.windows import registry_keys

    found = [
        adapter_of(kind, values)
        for kind, key in _CLASSES.items()
        for name, values in registry_keys(rf"{_CONTROL}\{key}")
        if name.isdigit()  # a driver's key is a number: "0000"
    ]
    return tuple(adapter for adapter in found if adapter is not None)


def adapter_of(kind: str, values: Mapping[str, Any]) -> Adapter | None:
    """From the values of one driver's key; None for a device that no maker here made."""
    found = identified(str(values.get("MatchingDeviceId", "")))
    if found is None:
        return None
    maker, device = found
    size = values.get("HardwareInformation.qwMemorySize")
    if isinstance(size, bytes):  # drivers write it as a number or as its bytes
        size = int.from_bytes(size, "little")
    return Adapter(
        kind=kind,
        maker=maker.name,
        name=str(values.get("DriverDesc", maker.label)),
        device_id=device,
        driver=values.get("DriverVersion"),
        memory_bytes=size if isinstance(size, int) and size > _CARVE_OUT else None,
    )


def identified(identity: str) -> tuple[Maker, str] | None:
    r"""(maker, device number) by the identity that a driver matched.

    On PCI "PCI\VEN_8086&DEV_64A0&…"; of a Snapdragon, which has its GPU and NPU elsewhere,
    "ACPI\VEN_QCOM&DEV_0C36&…" or "ACPI\QCOM0C36".
    """
    match = _MATCHING.search(identity)
    if match:
        maker = makers().get(f"0x{match[1].lower()}")
    else:
        match = _ACPI.search(identity)
        maker = makers().get(match[1].lower()) if match else None
    return (maker, f"0x{match[2].lower()}") if match and maker else None
