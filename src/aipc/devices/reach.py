"""The devices that runtimes reach, and why no runtime reaches a GPU or an NPU that is here."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from aipc import remedies
from aipc.devices.adapters import Adapter, read_adapters
from aipc.devices.device import Device, driver_advice
from aipc.devices.makers import kinds_of_maker, why_no_runtime
from aipc.devices.onnxruntime import onnx_devices, onnx_kinds
from aipc.devices.openvino import list_devices, open_core
from aipc.devices.wheels import has_wheels, install_command, wheel_for
from aipc.errors import AipcError, DeviceError

RUNTIMES = ("openvino", "onnx")


def reachable_devices(runtimes: Collection[str] = RUNTIMES) -> tuple[Device, ...]:
    """The devices alone, for a caller that is about to use one of these runtimes.

    OpenVINO is loaded when it is among ``runtimes``, ONNX Runtime when it is among them and a
    wheel for an accelerator is installed.

    Raises:
        DeviceError: none of them can be loaded.
    """
    devices, problems = ask_runtimes(runtimes)
    if not devices and problems:
        raise problems[0] if isinstance(problems[0], AipcError) else DeviceError(str(problems[0]))
    return devices


def ask_runtimes(
    runtimes: Collection[str] = RUNTIMES, adapters: Callable[[], Sequence[Adapter]] = read_adapters
) -> tuple[tuple[Device, ...], tuple[str | AipcError, ...]]:
    """(devices, problems): a runtime that fails does not hide the other's devices.

    OpenVINO's absence is none where it has no wheels and the other runtime is asked too.
    """
    devices: list[Device] = []
    problems: list[str | AipcError] = []
    if "openvino" in runtimes and (has_wheels("openvino") or "onnx" not in runtimes):
        try:
            found, issues = list_devices(open_core())
        except DeviceError as error:
            found, issues = (), ()
            problems.append(error)
        devices += found
        problems += issues
    if "onnx" in runtimes:
        found, issues = onnx_devices(adapters)
        devices += found
        problems += issues
    return merge_cpu(devices), tuple(problems)


def merge_cpu(devices: Iterable[Device]) -> tuple[Device, ...]:
    """One CPU, as the first runtime describes it, with every runtime that computes on it.

    ONNX Runtime's share is known from the installed wheels alone.
    """
    listed = list(devices)
    cpus = [device for device in listed if device.kind == "cpu"]
    others = [device for device in listed if device.kind != "cpu"]
    if not cpus:
        return tuple(others)
    reached = dict.fromkeys(runtime for cpu in cpus for runtime in cpu.runtimes)
    if onnx_kinds():
        reached["onnx"] = None
    return (dataclasses.replace(cpus[0], runtimes=tuple(reached)), *others)


@dataclass(frozen=True)
class Unreached:
    """``missing`` is one line with what to do, or that nothing can be done here."""

    adapter: Adapter
    missing: str


def unreached(
    adapters: Sequence[Adapter], devices: Collection[Device], system: str | None = None
) -> tuple[Unreached, ...]:
    """The adapters that none of ``devices`` is.

    ``system`` is a name as `platform.system` returns it; this machine's when left out.
    """
    here = {device.kind for device in devices if not device.is_software}
    return tuple(
        Unreached(adapter, what_is_missing(adapter, system or platform.system()))
        for adapter in adapters
        if not here & set(kinds_of(adapter))
    )


def what_is_missing(adapter: Adapter, system: str, kind: str | None = None) -> str:
    """What to fix first so that a runtime reaches ``adapter``, as ``kind`` if that is given."""
    kinds = kinds_of(adapter) if kind is None else [kind]
    if not kinds:
        return why_no_runtime(adapter.maker, adapter.device_id)
    if not adapter.may_open:
        group = remedies.command("render-group")
        return f"you may not open {adapter.node}: {group}, then log in again"
    if system == "Linux" and adapter.module in {None, "nouveau", "vfio-pci"}:
        return _no_module(adapter.maker)
    unreachable = f"no runtime reaches it on {system}"
    if kinds[0] in {"gpu", "npu"}:
        return driver_advice(kinds[0], system) or unreachable
    wheels = next(filter(None, (wheel_for(kind, system) for kind in kinds)), None)
    return f"its wheel: {install_command(wheels)}" if wheels else unreachable


def _no_module(maker: str) -> str:
    if maker == "nvidia":
        driver = remedies.command("nvidia-driver") or "install driver 580"
        return f"NVIDIA's driver is not loaded: {driver} or newer"
    newer = ": install a newer kernel and linux-firmware" if maker in {"intel", "amd"} else ""
    return f"Linux has no driver loaded for it{newer}"


def kinds_of(adapter: Adapter) -> list[str]:
    """The kinds of device through which a runtime here could reach it."""
    return kinds_of_maker(adapter.maker, adapter.kind)
