"""The whole machine: its devices, its processor, its memory, and what is amiss."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass

from aipc.devices.adapters.adapter import Adapter
from aipc.devices.adapters.adapters import read_adapters
from aipc.devices.device import Device
from aipc.devices.missing import Unreached, unreached
from aipc.devices.reach import ask_runtimes
from aipc.devices.system.cpu import Cpu, read_cpu
from aipc.devices.system.memory import Memory, read_memory
from aipc.devices.wheels import clashes, installed


@dataclass(frozen=True)
class Machine:
    devices: tuple[Device, ...]
    """Those that a runtime reaches."""
    adapters: tuple[Adapter, ...]
    """GPUs and NPUs that the operating system sees."""
    unreached: tuple[Unreached, ...]
    """Those among ``adapters`` that no runtime reaches, each with what is missing."""
    cpu: Cpu
    memory: Memory
    system: str
    """Operating system, its version and the architecture, in the platform module's words."""
    python: str
    versions: Mapping[str, str]
    """Runtime package → version installed."""
    problems: tuple[str, ...]
    """One line each: what is amiss, and what to do."""


def this_machine() -> Machine:
    """Ask everything; what fails is told in `Machine.problems`.

    Loads OpenVINO and its plugins (about half a second), and ONNX Runtime where its wheel is
    one for an accelerator.
    """
    adapters = read_adapters()
    devices, problems = ask_runtimes(adapters=lambda: adapters)
    return Machine(
        devices=devices,
        adapters=adapters,
        unreached=unreached(adapters, devices),
        cpu=read_cpu(),
        memory=read_memory(),
        system=platform.platform(),
        python=platform.python_version(),
        versions=installed(),
        problems=(*map(str, problems), *map(str, clashes())),
    )
