"""Why this machine gets what it gets, place by place of the default order."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass

from aipc.choose.order import OrderEntry, order
from aipc.devices import Device
from aipc.devices.adapters.adapter import Adapter
from aipc.devices.missing import kinds_of, what_is_missing
from aipc.devices.wheels import install_command, wheel_for
from aipc.runtimes.registry import RUNTIMES

_HARDWARE = {
    "npu": "no NPU that OpenVINO reaches",
    "gpu": "no Intel GPU that OpenVINO reaches",
    "cuda": "no NVIDIA GPU",
    "directml": "no GPU",
    "webgpu": "no GPU",
}


@dataclass(frozen=True)
class Explanation:
    """``devices`` are those of this machine at this place; none: ``state`` says what is missing.

    ``state`` begins with "taken", "next", "not reached" or "not here".
    """

    place: OrderEntry
    devices: tuple[str, ...]
    state: str


def explain(devices: Sequence[Device], adapters: Sequence[Adapter] = ()) -> tuple[Explanation, ...]:
    """Every place of the order, the best first, on a machine with these devices.

    The first place of each runtime that has a device is the one that "auto" takes for an
    artifact of that runtime, where the artifact's recipe suits it.  ``adapters`` is what the
    operating system sees, to tell what keeps a runtime from it.
    """
    explanations: list[Explanation] = []
    taken: set[str] = set()
    listed: set[tuple[str, str]] = set()
    for place in order():
        here = [
            device
            for device in devices
            if place.holds(device) and (device.name, place.runtime) not in listed
        ]
        listed |= {(device.name, place.runtime) for device in here}
        state = _state(place, taken) if here else _missing(place, adapters)
        explanations.append(Explanation(place, tuple(device.full_name for device in here), state))
    return tuple(explanations)


def _state(place: OrderEntry, taken: set[str]) -> str:
    """Of a place that has a device; notes in ``taken`` the runtime that is served by it."""
    if place.kind not in RUNTIMES.get(place.runtime).kinds:
        return f"not reached: the runtime {place.runtime} can't generate on it here yet"
    if place.runtime in taken:
        return "next: where those before it can't run a model"
    taken.add(place.runtime)
    return f"taken: for {place.runtime} models that it can run"


def _missing(place: OrderEntry, adapters: Sequence[Adapter]) -> str:
    if place.runtime == "onnx" and wheel_for(place.kind) is None:
        return "not here: no wheel brings it to this operating system"
    if place.type:
        return f"not here: no {place.type} GPU of Intel's that OpenVINO reaches"
    if place.kind == "cpu":
        return f"not reached: {_runtime_advice(place.runtime)}"
    for adapter in adapters:
        if place.kind in kinds_of(adapter):
            missing = what_is_missing(adapter, platform.system(), place.kind)
            return f"not reached: {adapter.name} is here; {missing}"
    return f"not here: {_HARDWARE[place.kind]}"


def _runtime_advice(runtime: str) -> str:
    if runtime == "onnx":
        return f"its wheel: {install_command('onnx')}"
    return "OpenVINO can't be loaded: `aipc doctor` looks for the reason"
