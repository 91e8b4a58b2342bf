"""What a measurement holds for: this processor, these devices and drivers, these versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aipc.devices import Device
from aipc.devices.system.cpu import read_cpu
from aipc.devices.wheels import installed


@dataclass(frozen=True)
class Fingerprint:
    """``devices`` is name → what its maker calls it and its driver, in one text."""

    processor: str
    threads: int
    devices: Mapping[str, str]
    versions: Mapping[str, str]
    """Runtime package → version."""

    def changes(self, now: Fingerprint) -> tuple[str, ...]:
        """What makes a measurement taken under this one worthless ``now``; empty: nothing.

        ``now`` may have fewer devices: a session that asks for one runtime sees its own alone.
        """
        return tuple(self._changes(now))

    @property
    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def _changes(self, now: Fingerprint) -> Iterator[str]:
        if (self.processor, self.threads) != (now.processor, now.threads):
            yield f"the processor was {self.processor} with {self.threads} threads"
        for name, device in now.devices.items():
            before = self.devices.get(name)
            if before is None:
                yield f"{name} was not there"
            elif before != device:
                yield f"{name} was {before}, is {device}"
        for package in sorted({*self.versions, *now.versions}):
            before, after = self.versions.get(package), now.versions.get(package)
            if before != after:
                yield f"{package} was {before or 'not installed'}, is {after or 'not installed'}"


def fingerprint(devices: Sequence[Device]) -> Fingerprint:
    """Of this machine, of which ``devices`` are known."""
    cpu = read_cpu()
    return Fingerprint(
        cpu.name,
        cpu.usable_threads,
        {device.name: _identity(device) for device in devices},
        dict(installed()),
    )


def _identity(device: Device) -> str:
    return f"{device.full_name}, driver {device.driver}" if device.driver else device.full_name
