"""The target that a model is converted for, chosen before it is fetched."""

from __future__ import annotations

from collections.abc import Sequence

from aipc.choose.order import rank
from aipc.choose.plan import check_emulation
from aipc.convert.recipe import Recipe
from aipc.convert.targets import Target, find_target
from aipc.devices import Device, kind_of, resolve_device
from aipc.devices.device import plain_name
from aipc.devices.wheels import install_command, wheel_for
from aipc.errors import DeviceError
from aipc.runtimes.registry import RUNTIMES


def choose_target(
    devices: Sequence[Device],
    *,
    device: str = "auto",
    runtime: str = "auto",
    recipe: Recipe | None = None,
    emulate: bool = False,
) -> Target:
    """The target of the device requested or, for "auto", of the first that suits ``recipe``.

    Arguments are those of `aipc.choose.choose`; without a recipe each target has its own.

    Raises:
        UsageError: a name that is no device or runtime, or a device that the runtime lacks.
        DeviceError: this machine does not have what was requested.
    """
    wanted = plain_name(device)
    if emulate:
        check_emulation(wanted, "openvino" if runtime == "auto" else runtime)
        return find_target("npu")
    if wanted == "auto":
        return _best(devices, runtime, recipe)
    target = find_target(kind_of(wanted), runtime)
    reachable = [device for device in devices if target.runtime in device.runtimes]
    _check_installed(reachable, target.runtime, target.name)
    resolve_device(wanted, [device.name for device in reachable])
    return target


def _best(devices: Sequence[Device], runtime: str, recipe: Recipe | None) -> Target:
    if runtime != "auto":
        RUNTIMES.check(runtime)
        devices = [device for device in devices if runtime in device.runtimes]
        _check_installed(devices, runtime, "cpu")

    def against(device: Device, by: str) -> str:
        if runtime not in {"auto", by} or device.kind not in RUNTIMES.get(by).kinds:
            return f"the runtime {by} does not generate on it"
        return find_target(device.kind, by).misfit(recipe) if recipe else ""

    ranked = rank(devices, against)
    if not ranked or not ranked[-1].taken:
        raise DeviceError(
            "no device of this machine can run a model", "`aipc devices --explain` shows why"
        )
    return find_target(ranked[-1].kind, ranked[-1].runtime)


def _check_installed(reachable: Sequence[Device], runtime: str, kind: str) -> None:
    if not reachable and runtime == "onnx":
        fix = install_command(wheel_for(kind) or "onnx")
        raise DeviceError("ONNX Runtime GenAI is not installed here", fix)
