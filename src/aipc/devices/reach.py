"""The devices that runtimes reach, each asked only when it is wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence

from aipc.devices.adapters.adapter import Adapter
from aipc.devices.adapters.adapters import read_adapters
from aipc.devices.device import Device
from aipc.devices.onnxruntime import onnx_devices, onnx_kinds
from aipc.devices.openvino import list_devices, open_core
from aipc.errors import AipcError, DeviceError

RUNTIMES = ("openvino", "onnx")


def reachable_devices(runtimes: Collection[str] = RUNTIMES) -> tuple[Device, ...]:
    """The devices alone, for who is about to use one of these runtimes.

    OpenVINO is loaded when it is among ``runtimes``, ONNX Runtime when it is among them and a
    wheel for an accelerator is installed.

    Raises:
        DeviceError: none of them can be asked.
    """
    devices, problems = ask_runtimes(runtimes)
    if not devices and problems:
        raise problems[0] if isinstance(problems[0], AipcError) else DeviceError(str(problems[0]))
    return devices


def ask_runtimes(
    runtimes: Collection[str] = RUNTIMES, adapters: Callable[[], Sequence[Adapter]] = read_adapters
) -> tuple[tuple[Device, ...], tuple[str | AipcError, ...]]:
    """(devices, problems): a runtime that fails does not hide the other's devices."""
    devices: list[Device] = []
    problems: list[str | AipcError] = []
    if "openvino" in runtimes:
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
