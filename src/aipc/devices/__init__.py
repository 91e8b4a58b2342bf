"""What this machine has to compute with."""

from aipc.devices.device import Device, kind_of, resolve_device
from aipc.devices.reach import reachable_devices

__all__ = ["Device", "kind_of", "reachable_devices", "resolve_device"]
