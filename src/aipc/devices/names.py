"""From the names that people use for devices to the vendor's."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Sequence

from aipc.devices.device import kind_of
from aipc.devices.wheels import install_command, wheel_for
from aipc.errors import DeviceError, UsageError

NAMES = ("auto", "npu", "gpu", "gpu.0", "cpu", "cuda", "directml", "webgpu")
PATTERN = re.compile(r"auto|npu|cpu|webgpu|(gpu|cuda|directml)(\.\d+)?")
"""Of every name there can be; `NAMES` are examples."""

_DRIVERS = {
    ("npu", "Linux"): "Intel's NPU driver from github.com/intel/linux-npu-driver",
    ("npu", "Windows"): "'Intel NPU Driver' from intel.com or Windows Update",
    ("gpu", "Linux"): "Intel's compute runtime, the package intel-opencl-icd",
    ("gpu", "Windows"): "Intel's graphics driver from intel.com or Windows Update",
}
_HARDWARE = {
    "npu": "an Intel Core Ultra processor",
    "gpu": "an Intel GPU",
    "cuda": "an NVIDIA GPU",
    "directml": "a GPU with DirectX 12",
    "webgpu": "a GPU",
}


def resolve_device(name_given: str, available: Sequence[str]) -> str:
    """The vendor's name ("CPU", "GPU.0", "NPU") for what a user requested, in any case.

    ``available`` are names as in `Device.name`.  "auto" is the CPU, or the first device where
    there is none: `aipc.choose` decides better, from all that is known of the devices.

    Raises:
        UsageError: ``name_given`` is no device name.
        DeviceError: this machine has no such device; says which it has and what to do.
    """
    name = plain_name(name_given)
    if not available:
        raise DeviceError("the runtime finds no device at all", "`aipc devices` says why")
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
    extra = wheel_for(kind, system)
    if extra and kind != "cpu":
        return install_command(extra)
    driver = _DRIVERS.get((kind, system))
    return f"install {driver}" if driver else ""


def _find(name: str, available: Sequence[str]) -> str:
    kind = kind_of(name)
    siblings = [device for device in available if kind_of(device) == kind]
    if not siblings:
        raise _none_of_kind(kind, available)
    if name == kind:
        return siblings[0]
    for device in siblings:
        # A single GPU is listed without its number.
        if name in (device.lower(), f"{device.lower()}.0"):
            return device
    fix = f"ask for {_either(device.lower() for device in siblings)}"
    raise DeviceError(f"this machine has no {name.upper()}, only {_all(siblings)}", fix)


def _none_of_kind(kind: str, available: Sequence[str]) -> DeviceError:
    what = f"this machine has no {kind.upper()} that the runtime can reach, only {_all(available)}"
    advice = driver_advice(kind)
    fix = f"ask for {_either(sorted({kind_of(device) for device in available}))}"
    if advice:
        fix += f", or, if it has {_HARDWARE[kind]}, {advice}"
    return DeviceError(what, f"{fix} (`aipc devices` shows what is here)")


def _all(names: Iterable[str]) -> str:
    return " and ".join(names)


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)
