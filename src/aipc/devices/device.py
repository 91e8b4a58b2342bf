"""One device that a runtime can compute on, and the names that people use for devices."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aipc.devices.adapters import read_adapters
from aipc.devices.makers import kinds_of_maker, why_no_runtime
from aipc.devices.wheels import install_command, is_whole, wheel_for
from aipc.errors import DeviceError, UsageError

NAMES = ("auto", "npu", "gpu", "gpu.0", "cpu", "cuda", "directml", "webgpu")
PATTERN = re.compile(r"auto|npu|cpu|webgpu|(gpu|cuda|directml)(\.\d+)?")
"""Matches every valid name; `NAMES` are examples."""
_DRIVERS = {
    ("npu", "Linux"): "Intel's NPU driver from github.com/intel/linux-npu-driver",
    ("npu", "Windows"): "'Intel NPU Driver' from intel.com or Windows Update",
    ("gpu", "Linux"): "Intel's compute runtime, the package intel-opencl-icd",
    ("gpu", "Windows"): "Intel's graphics driver from intel.com or Windows Update",
    ("cuda", "Linux"): "NVIDIA's driver 580 or newer",
    ("cuda", "Windows"): "NVIDIA's newest driver from nvidia.com",
}
_HARDWARE = {
    "npu": "an Intel Core Ultra processor",
    "gpu": "an Intel GPU",
    "cuda": "an NVIDIA GPU",
    "directml": "a GPU with DirectX 12",
    "webgpu": "a GPU",
}
SOFTWARE = "software"
"""The fact "type" of a GPU that the CPU imitates."""


@dataclass(frozen=True)
class Device:
    name: str
    """As its runtime addresses it: "CPU", "GPU", "GPU.0", "NPU"."""
    kind: str
    """Its family, lower case: "cpu", "gpu", "npu"."""
    full_name: str
    """As its maker calls it."""
    driver: str | None = None
    """The driver's version; None where there is none or the runtime does not report it."""
    memory_bytes: int | None = None
    """Memory that it can address; None for the machine's own memory or where unknown."""
    precisions: tuple[str, ...] = ()
    """Number formats that it computes in, widest first: "fp32", "bf16", "fp16", "int8"."""
    runtimes: tuple[str, ...] = ()
    """The runtimes that can address it, as in ``--runtime``."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else the runtime reports, ready for JSON: architecture, capabilities …"""

    @property
    def is_software(self) -> bool:
        """Whether it is no device of its own, but computed by the CPU."""
        return bool(self.facts.get("type") == SOFTWARE)

    def computes_in(self, precision: str | None) -> bool:
        """Whether a graph of that number format runs; one that is not known may.

        The CPU computes every graph: its runtimes cast what they have no kernels for.
        """
        return self.kind == "cpu" or not self.precisions or precision in {None, *self.precisions}


def kind_of(name: str) -> str:
    """The family of a vendor's device name: "GPU.0" is a "gpu"."""
    return name.partition(".")[0].lower()


def resolve_device(name_given: str, available: Sequence[str]) -> str:
    """The vendor's name ("CPU", "GPU.0", "NPU") for what a user requested, in any case.

    ``available`` are names as in `Device.name`.  "auto" is the CPU, or the first device where
    there is none: `aipc.choose` decides from all that is known of the devices.

    Raises:
        UsageError: ``name_given`` is no device name.
        DeviceError: this machine has no such device; the message has those it has, and a fix.
    """
    name = plain_name(name_given)
    if not available:
        raise DeviceError("the runtime finds no device at all", "`aipc devices` shows why")
    if name == "auto":
        return "CPU" if "CPU" in available else available[0]
    return _find(name, available)


def plain_name(name_given: str) -> str:
    """In lower case and without spaces around it.

    Raises:
        UsageError: it is no device name.
    """
    name = name_given.strip().lower()
    if not PATTERN.fullmatch(name):
        raise UsageError(f"unknown device '{name_given}'", f"choose one of {', '.join(NAMES)}")
    return name


def driver_advice(kind: str, system: str | None = None) -> str:
    """What to install for a device of this kind, on this operating system; may be empty."""
    system = system or platform.system()
    wheels = wheel_for(kind, system)
    if wheels and kind != "cpu" and not is_whole(wheels):
        return install_command(wheels)
    driver = _DRIVERS.get((kind, system))
    return f"install {driver}" if driver else ""


def check_hardware(kind: str) -> None:
    """Refuse CUDA where no NVIDIA GPU is, before anybody installs its wheels in vain.

    Raises:
        DeviceError: this machine has none.
    """
    if kind != "cuda" or any(adapter.maker == "nvidia" for adapter in read_adapters()):
        return
    fix = "ask for another device (`aipc devices` shows what is here)"
    advice = driver_advice(kind)
    raise DeviceError(
        "this machine has no NVIDIA GPU, which CUDA is for",
        f"{fix}; on one that has, {advice}" if advice else fix,
    )


def _find(name: str, available: Sequence[str]) -> str:
    kind = kind_of(name)
    siblings = [device for device in available if kind_of(device) == kind]
    if not siblings:
        check_hardware(kind)
        if kind == "npu":
            _refuse_other_makers()
        what = f"this machine has no {kind.upper()} that the runtime can reach"
        advice = driver_advice(kind)
        fix = f"ask for {' or '.join(sorted({kind_of(device) for device in available}))}"
        if advice:
            fix += f", or, if it has {_HARDWARE[kind]}, {advice}"
        raise DeviceError(
            f"{what}, only {' and '.join(available)}", f"{fix} (`aipc devices` shows what is here)"
        )
    if name == kind:
        return siblings[0]
    for device in siblings:
        # A single GPU is listed without its number.
        if name in (device.lower(), f"{device.lower()}.0"):
            return device
    raise DeviceError(
        f"this machine has no {name.upper()}, only {' and '.join(siblings)}",
        f"ask for {' or '.join(device.lower() for device in siblings)}",
    )


def _refuse_other_makers() -> None:
    """Say of an NPU that is here and that no runtime reaches, why.

    Raises:
        DeviceError: there is one.
    """
    for adapter in read_adapters():
        if adapter.kind == "npu" and not kinds_of_maker(adapter.maker, "npu"):
            why = why_no_runtime(adapter.maker, adapter.device_id)
            raise DeviceError(f"{adapter.name} is here, and {why}", "`aipc devices` shows the rest")
