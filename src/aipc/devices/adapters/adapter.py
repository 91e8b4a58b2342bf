"""A GPU or an NPU as the operating system sees it, and who makes them, as makers.toml lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aipc.tables import read_table


@dataclass(frozen=True)
class Adapter:
    kind: str
    """Its family: "gpu" or "npu"."""
    maker: str
    """As in makers.toml: "intel", "nvidia", "amd", "qualcomm"."""
    name: str
    slot: str = ""
    """Where it sits: "0000:00:02.0"; empty where the system does not report it."""
    device_id: str = ""
    """The maker's number of the model: "0x7d55"."""
    module: str | None = None
    """Linux: the kernel's driver for it ("xe", "nvidia"); None: it has none."""
    driver: str | None = None
    """The driver's version; None where the system does not report it."""
    memory_bytes: int | None = None
    """Memory of its own; None where it uses the machine's or the system does not tell."""
    node: str | None = None
    """Linux: the file through which programs reach it."""
    may_open: bool = True
    """Whether this user may open ``node``."""


_PCI_NAMES = ("usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids")


@dataclass(frozen=True)
class Maker:
    """``gpu`` and ``npu`` are the kinds of device through which a runtime reaches theirs."""

    vendor: str
    name: str
    label: str
    gpu: list[str]
    npu: list[str]


@cache
def makers() -> Mapping[str, Maker]:
    """By PCI vendor, as Linux writes it: "0x8086"."""
    entries = read_table(__package__, "makers.toml")["maker"]
    return {entry["vendor"]: Maker(**entry) for entry in entries}


@cache
def npus() -> Mapping[tuple[str, str], str]:
    """(PCI vendor, PCI device) → name, of NPUs that are known by their numbers."""
    entries = read_table(__package__, "makers.toml")["npu"]
    return {(entry["vendor"], entry["device"]): entry["name"] for entry in entries}


def pci_name(vendor: str, device: str, root: Path) -> str:
    """What to call a device: from the system's own list of PCI names, where it has one."""
    known = npus().get((vendor, device))
    if known:
        return known
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
