"""The default order of order.toml, and who comes first in it on a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from aipc.devices import Device
from aipc.tables import read_table


@dataclass(frozen=True)
class OrderEntry:
    """One entry; the fields are explained in the file."""

    kind: str
    runtime: str
    type: str
    why: str
    but: str
    source: str

    def holds(self, device: Device) -> bool:
        fits = device.kind == self.kind and self.runtime in device.runtimes
        return fits and self.type in {"", device.facts.get("type")}


@dataclass(frozen=True)
class RankedDevice:
    """Of one device, or of a place that no device of this machine takes (``device`` is "")."""

    kind: str
    runtime: str
    device: str
    taken: bool
    why: str


@cache
def order() -> tuple[OrderEntry, ...]:
    """Every place, the best first."""
    return tuple(OrderEntry(**entry) for entry in read_table(__package__, "order.toml")["place"])


def rank(
    devices: Sequence[Device], objection: Callable[[Device, str], str]
) -> tuple[RankedDevice, ...]:
    """A verdict on each device, in order, until one is taken; the last is that one, if any is.

    ``objection`` says why a device can't run the model with a runtime, or nothing.
    """
    verdicts = []
    for place, device in _candidates(devices):
        against = objection(device, place.runtime)
        why = against or f"{place.why}; nothing was measured here: `aipc tune` does"
        verdicts.append(RankedDevice(place.kind, place.runtime, device.name, not against, why))
        if not against:
            break
    return tuple(verdicts)


def _candidates(devices: Sequence[Device]) -> Iterator[tuple[OrderEntry, Device]]:
    """Each device once with each runtime, at its first place."""
    pairs: dict[tuple[str, str], tuple[OrderEntry, Device]] = {}
    for place in order():
        for device in devices:
            if place.holds(device):
                pairs.setdefault((device.name, place.runtime), (place, device))
    yield from pairs.values()
