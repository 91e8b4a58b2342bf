"""The oldest drivers that will do, as drivers.toml lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from aipc.devices.adapters.adapters import Adapter
from aipc.tables import read_table


@dataclass(frozen=True)
class Requirement:
    """One entry; the fields are explained in the file."""

    kind: str
    maker: str
    system: str
    device: str
    minimum: str
    what: str
    fix: str
    source: str

    def is_met(self, version: str) -> bool:
        return _numbers(version) >= _numbers(self.minimum)


@cache
def requirements() -> tuple[Requirement, ...]:
    """Every entry of drivers.toml."""
    return tuple(
        Requirement(**entry) for entry in read_table(__package__, "drivers.toml")["driver"]
    )


def requirement(adapter: Adapter, system: str) -> Requirement | None:
    """What the driver of ``adapter`` must be on a system; None where nothing is known."""
    fitting = [
        entry
        for entry in requirements()
        if (entry.kind, entry.maker, entry.system) == (adapter.kind, adapter.maker, system)
        and entry.device in {"", adapter.device_id}
    ]
    return max(fitting, key=lambda entry: len(entry.device), default=None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
