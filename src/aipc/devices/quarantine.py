"""Devices that were seen to compute a model wrongly, kept until another driver is there."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from aipc.errors import DeviceError
from aipc.records import JsonCache, Misfit, plain, read, unhashed


@dataclass(frozen=True)
class Quarantined:
    """What was seen, and when: ISO 8601, in UTC."""

    model: str
    device: str
    why: str
    when: str

    @property
    def words(self) -> str:
        """In a line."""
        return f"{self.device} computes {self.model} wrongly: {self.why}, on {self.when[:10]}"


class Quarantine:
    """That of one model on one device; ``identity`` is all that it holds for, driver included."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._identity = dict(identity)
        self._cache = JsonCache(folder)

    def put(self, model: str, device: str, why: str) -> Quarantined:
        """Keep the device from the model from now on."""
        when = datetime.now(timezone.utc).isoformat("T", "seconds")
        found = Quarantined(model, device, why, when)
        self._cache.keep(self._identity, plain(found))
        return found

    def find(self) -> Quarantined | None:
        """None where the device may be used."""
        with suppress(Misfit):
            return read(Quarantined, self._cache.find(self._identity))
        return None

    def check(self) -> None:
        """Refuse the device.

        Raises:
            DeviceError: with what was seen, and the ways out.
        """
        found = self.find()
        if found is not None:
            raise DeviceError(
                found.words,
                "update its driver, take --device cpu, or trust it all the same with --no-canary",
            )


def list_quarantined(folder: Path) -> tuple[Quarantined, ...]:
    """All that are kept, whatever the driver is now; what can't be read is left out."""
    found = []
    for file in sorted(folder.glob("*.json")):
        with suppress(OSError, ValueError):
            found.append(read(Quarantined, unhashed(file.read_text("utf-8"))))
    return tuple(found)
