"""The default order of order.toml: which device is first on a machine, and why for each entry."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from aipc.devices import Device
from aipc.devices.adapters import Adapter
from aipc.devices.reach import kinds_of, what_is_missing
from aipc.devices.wheels import has_wheels, install_command, wheel_for
from aipc.runtimes.registry import RUNTIMES
from aipc.tables import read_table

_HARDWARE = {
    "npu": "no NPU that OpenVINO reaches",
    "gpu": "no Intel GPU that OpenVINO reaches",
    "cuda": "no NVIDIA GPU",
    "directml": "no GPU",
    "webgpu": "no GPU",
}


@dataclass(frozen=True)
class OrderEntry:
    """One entry; the fields are explained in the file."""

    kind: str
    runtime: str
    type: str
    why: str
    but: str
    source: str
    read: str

    def holds(self, device: Device) -> bool:
        fits = device.kind == self.kind and self.runtime in device.runtimes
        return fits and self.type in {"", device.facts.get("type")}


@dataclass(frozen=True)
class RankedDevice:
    """One device with one runtime, and whether it is taken."""

    kind: str
    runtime: str
    device: str
    taken: bool
    why: str


@cache
def order() -> tuple[OrderEntry, ...]:
    """Every entry, the best first."""
    return tuple(OrderEntry(**entry) for entry in read_table(__package__, "order.toml")["entry"])


def rank(
    devices: Sequence[Device], objection: Callable[[Device, str], str]
) -> tuple[RankedDevice, ...]:
    """Each device, in order, until one is taken; the last is that one, if any is.

    ``objection`` gives the reason why a device can't run the model with a runtime; empty: it can.
    """
    ranked = []
    for entry, device in _candidates(devices):
        against = _imitated(device) or objection(device, entry.runtime)
        why = against or f"{entry.why}; nothing was measured here: `aipc tune` does"
        ranked.append(RankedDevice(entry.kind, entry.runtime, device.name, not against, why))
        if not against:
            break
    return tuple(ranked)


def _imitated(device: Device) -> str:
    """The CPU is faster than what the CPU imitates."""
    if not device.is_software:
        return ""
    return f"the CPU computes it: --device {device.name.lower()} asks for it"


def _candidates(devices: Sequence[Device]) -> Iterator[tuple[OrderEntry, Device]]:
    """Each device once with each runtime, at its first entry."""
    pairs: dict[tuple[str, str], tuple[OrderEntry, Device]] = {}
    for entry in order():
        for device in devices:
            if entry.holds(device):
                pairs.setdefault((device.name, entry.runtime), (entry, device))
    yield from pairs.values()


@dataclass(frozen=True)
class Explanation:
    """``devices`` are those of this machine in this entry; none: ``state`` is what is missing.

    ``state`` begins with "taken", "next", "not taken", "not reached" or "not here".
    """

    place: OrderEntry
    devices: tuple[str, ...]
    state: str


def explain(devices: Sequence[Device], adapters: Sequence[Adapter] = ()) -> tuple[Explanation, ...]:
    """Every entry of the order, the best first, on a machine with these devices.

    The first entry of each runtime that has a device is the one that "auto" takes for an
    artifact of that runtime, where the artifact's recipe suits it.  ``adapters`` is what the
    operating system sees, to find what keeps a runtime from it.
    """
    explanations: list[Explanation] = []
    taken: set[str] = set()
    listed: set[tuple[str, str]] = set()
    for entry in order():
        here = [
            device
            for device in devices
            if entry.holds(device) and (device.name, entry.runtime) not in listed
        ]
        listed |= {(device.name, entry.runtime) for device in here}
        imitated = [_imitated(device) for device in here]
        if here and all(imitated):
            state = f"not taken: {imitated[0]}"
        else:
            state = _state(entry, taken) if here else _missing(entry, adapters)
        explanations.append(Explanation(entry, tuple(device.full_name for device in here), state))
    return tuple(explanations)


def _state(entry: OrderEntry, taken: set[str]) -> str:
    """Of an entry that has a device; adds its runtime to ``taken``."""
    if entry.kind not in RUNTIMES.get(entry.runtime).kinds:
        return f"not reached: the runtime {entry.runtime} can't generate on it here yet"
    if entry.runtime in taken:
        return "next: where those before it can't run a model"
    taken.add(entry.runtime)
    return f"taken: for {entry.runtime} models that it can run"


def _missing(entry: OrderEntry, adapters: Sequence[Adapter]) -> str:
    exists = wheel_for(entry.kind) if entry.runtime == "onnx" else has_wheels("openvino")
    if not exists:
        return "not here: no wheel brings it to this operating system"
    if entry.type:
        return f"not here: no {entry.type} GPU of Intel's that OpenVINO reaches"
    if entry.kind == "cpu":
        if entry.runtime == "onnx":
            return f"not reached: its wheel: {install_command('onnx')}"
        return "not reached: OpenVINO can't be loaded: `aipc doctor` looks for the reason"
    for adapter in adapters:
        if entry.kind in kinds_of(adapter):
            missing = what_is_missing(adapter, platform.system(), entry.kind)
            return f"not reached: {adapter.name} is here; {missing}"
    return f"not here: {_HARDWARE[entry.kind]}"
