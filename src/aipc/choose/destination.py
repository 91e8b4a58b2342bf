"""The target that a model is converted for, chosen before it is fetched."""

from __future__ import annotations

from collections.abc import Sequence

from aipc.choose.order import rank
from aipc.choose.plan import check_emulation, check_installed, target_for
from aipc.convert.recipe import Recipe
from aipc.convert.targets import Target, find_target
from aipc.devices import Device, kind_of, resolve_device
from aipc.devices.device import plain_name
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
    check_installed(reachable, target.runtime, target.name)
    name = resolve_device(wanted, [device.name for device in reachable])
    return target_for(next(one for one in reachable if one.name == name), target.runtime)


def _best(devices: Sequence[Device], runtime: str, recipe: Recipe | None) -> Target:
    if runtime != "auto":
        RUNTIMES.check(runtime)
        devices = [device for device in devices if runtime in device.runtimes]
        check_installed(devices, runtime)

    def against(device: Device, by: str) -> str:
        if runtime not in {"auto", by} or device.kind not in RUNTIMES.get(by).kinds:
            return f"the runtime {by} does not generate on it"
        return find_target(device.kind, by).misfit(recipe) if recipe else ""

    ranked = rank(devices, against)
    if not ranked or not ranked[-1].taken:
        fix = "`aipc devices --explain` shows why"
        if all(device.kind != "cpu" for device in devices):  # its library could not be loaded
            fix = f"without the CPU among them memory may be short: close other programs; {fix}"
        raise DeviceError("no device of this machine can run a model", fix)
    taken = next(device for device in devices if device.name == ranked[-1].device)
    return target_for(taken, ranked[-1].runtime)
