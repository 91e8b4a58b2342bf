"""Why no runtime reaches a GPU or an NPU that the machine has, and what to do."""

from __future__ import annotations

import platform
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aipc.devices.adapters.adapter import Adapter, makers
from aipc.devices.device import Device
from aipc.devices.names import driver_advice
from aipc.devices.wheels import install_command, wheel_for

_NO_MODULE = {
    "intel": "Linux has no driver loaded for it: install a newer kernel and linux-firmware",
    "nvidia": "NVIDIA's driver is not loaded: `sudo apt install nvidia-driver-580` or newer",
    "amd": "Linux has no driver loaded for it: install a newer kernel and linux-firmware",
}
_RENDER_GROUP = "you may not open {node}: `sudo usermod -aG render $USER`, then log in again"


@dataclass(frozen=True)
class Unreached:
    """``missing`` is one line with what to do, or that nothing can be done here."""

    adapter: Adapter
    missing: str


def unreached(
    adapters: Sequence[Adapter], devices: Collection[Device], system: str | None = None
) -> tuple[Unreached, ...]:
    """The adapters that no device of ``devices`` stands for.

    ``system`` is what `platform.system` says; this machine's when left out.
    """
    here = {device.kind for device in devices}
    return tuple(
        Unreached(adapter, what_is_missing(adapter, system or platform.system()))
        for adapter in adapters
        if not here & set(kinds_of(adapter))
    )


def what_is_missing(adapter: Adapter, system: str, kind: str | None = None) -> str:
    """What to mend first so that a runtime reaches ``adapter``, as ``kind`` if that is given."""
    kinds = kinds_of(adapter) if kind is None else [kind]
    if not kinds:
        label = _label(adapter)
        return f"no runtime here computes on {label}'s {adapter.kind.upper()}s"
    if not adapter.may_open:
        return _RENDER_GROUP.format(node=adapter.node)
    if system == "Linux" and adapter.module in {None, "nouveau", "vfio-pci"}:
        return _NO_MODULE.get(adapter.maker, "Linux has no driver loaded for it")
    if kinds[0] in {"gpu", "npu"}:
        return driver_advice(kinds[0], system) or f"no runtime reaches it on {system}"
    return _wheel_advice(kinds, system)


def _wheel_advice(kinds: Sequence[str], system: str) -> str:
    for kind in kinds:
        extra = wheel_for(kind, system)
        if extra:
            return f"its wheel: {install_command(extra)}"
    return f"no runtime reaches it on {system}"


def kinds_of(adapter: Adapter) -> list[str]:
    """The kinds of device through which a runtime here could reach it."""
    for maker in makers().values():
        if maker.name == adapter.maker:
            return maker.gpu if adapter.kind == "gpu" else maker.npu
    return []


def _label(adapter: Adapter) -> str:
    labels = {maker.name: maker.label for maker in makers().values()}
    return labels.get(adapter.maker, adapter.maker)
