"""Where a measurement is made, as its result states it."""

from __future__ import annotations

import platform

from aipc.devices import reachable_devices
from aipc.devices.system.cpu import read_cpu
from aipc.devices.system.memory import read_memory
from aipc.measure.bench.result import DeviceFacts, MachineFacts


def machine_facts() -> MachineFacts:
    """Of this machine; asks the runtimes for their devices, which loads OpenVINO's plugins."""
    cpu = read_cpu()
    return MachineFacts(
        processor=cpu.name,
        cores=cpu.physical_cores,
        threads=cpu.usable_threads,
        features=cpu.features,
        memory_bytes=read_memory().total,
        system=platform.platform(),
        devices=tuple(
            DeviceFacts(device.name, device.full_name, device.driver)
            for device in reachable_devices()
        ),
    )
