"""Whether this machine lives on its battery."""

from __future__ import annotations


def is_on_battery() -> bool:
    """False too where there is none, or the system does not tell."""
    import psutil

    read = getattr(psutil, "sensors_battery", None)  # not on every system
    battery = read() if read is not None else None
    return battery is not None and battery.power_plugged is False
