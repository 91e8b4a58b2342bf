"""GPUs and NPUs in Linux's /sys and NVIDIA's /proc.

``/sys/bus/pci/devices/SLOT`` holds, as the kernel's documents describe (ABI/testing/sysfs-bus-pci),
the files class, vendor and device, the link driver, and the folders drm and accel with the names
of its nodes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from aipc.devices.adapters.adapter import Adapter, makers, npus, pci_name
from aipc.devices.system.files import read_number, read_text

ROOT = Path("/")
_DISPLAY, _ACCELERATOR = "0x03", "0x12"  # PCI base classes
_OWN_MEMORY = ("mem_info_vram_total", "tile0/physical_vram_size_bytes")  # amdgpu, xe


def read_linux_adapters(root: Path = ROOT) -> tuple[Adapter, ...]:
    """All of them in the order of their slots."""
    found = {adapter.slot: adapter for adapter in _pci_adapters(root)}
    for adapter in _nvidia_adapters(root):
        found.setdefault(adapter.slot, adapter)
    return tuple(found[slot] for slot in sorted(found))


def _pci_adapters(root: Path) -> Iterator[Adapter]:
    for folder in sorted((root / "sys/bus/pci/devices").glob("*")):
        vendor = read_text(folder / "vendor") or ""
        kind = _kind(folder, vendor)
        if kind and vendor in makers():
            yield _adapter(kind, vendor, folder, root)


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
    name = (_nvidia_model(root, folder.name) if module == "nvidia" else "") or pci_name(
        vendor, device, root
    )
    return Adapter(
        kind=kind,
        maker=makers()[vendor].name,
        name=name,
        slot=folder.name,
        device_id=device,
        module=module,
        driver=_driver_version(kind, module, root),
        memory_bytes=next(
            (size for size in (read_number(folder / file) for file in _OWN_MEMORY) if size), None
        ),
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
    """Of the part that is installed apart from the kernel; None where there is none."""
    if kind == "npu" and module == "intel_vpu":
        return _npu_library(root)
    return read_text(root / f"sys/module/{module}/version") if module else None


def _npu_library(root: Path) -> str | None:
    """The version in the name of Intel's user mode library: libze_intel_npu.so.1.28.0."""
    for folder in ("usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib", "usr/local/lib"):
        for library in sorted((root / folder).glob("libze_intel_npu.so.*.*"), reverse=True):
            return library.name.partition(".so.")[2]
    return None


def _nvidia_adapters(root: Path) -> Iterator[Adapter]:
    """Containers often hide /sys' half."""
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
