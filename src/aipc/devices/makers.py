"""Who makes GPUs and NPUs, through what a runtime here reaches theirs, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from aipc.tables import read_table


@dataclass(frozen=True)
class Maker:
    """One [[maker]] of makers.toml, where the fields are explained."""

    vendor: str
    name: str
    label: str
    gpu: list[str]
    npu: list[str]
    no_npu: str
    source: str
    read: str


@dataclass(frozen=True)
class Npu:
    """One [[npu]] of makers.toml, where the fields are explained."""

    vendor: str
    device: str
    name: str
    no_npu: str
    source: str
    read: str


@cache
def makers() -> Mapping[str, Maker]:
    """By PCI vendor, as Linux writes it: "0x8086"; by ACPI's where there is no PCI: "qcom"."""
    entries = read_table(__package__, "makers.toml")["maker"]
    return {entry["vendor"]: Maker(**entry) for entry in entries}


@cache
def npus() -> Mapping[tuple[str, str], Npu]:
    """By (PCI vendor, PCI device): NPUs that are known by their numbers."""
    entries = read_table(__package__, "makers.toml")["npu"]
    return {(entry["vendor"], entry["device"]): Npu(**entry) for entry in entries}


def kinds_of_maker(maker: str, kind: str) -> list[str]:
    """The kinds of device through which a runtime here reaches a maker's GPUs or NPUs.

    ``maker`` is a `Maker.name`, ``kind`` one of "gpu" and "npu".
    """
    for one in makers().values():
        if one.name == maker:
            return one.gpu if kind == "gpu" else one.npu
    return []


def why_no_runtime(maker: str, device_id: str) -> str:
    """That nothing here computes on this maker's GPU or NPU, why, and what to use in its place.

    ``device_id`` is the maker's number of the model, as in `Npu.device`.
    """
    ours = [one for one in makers().values() if one.name == maker]
    known = [npus()[key] for one in ours if (key := (one.vendor, device_id)) in npus()]
    lines: list[Npu | Maker] = [*known, *ours]
    reason = next((one.no_npu for one in lines if one.no_npu), "")
    return "no runtime here computes on it" + (reason and f": {reason}")
