"""The NPU's pipeline on a machine without an NPU: the CPU computes it, and says so."""

from __future__ import annotations

from collections.abc import Sequence

from aipc.devices import Device
from aipc.errors import UsageError

_NAME = "NPU emulated on the CPU"


def check_emulation(device: str, runtime: str) -> None:
    """Refuse what can't be emulated.

    Raises:
        UsageError: another device than the NPU, or another runtime than OpenVINO.
    """
    if device != "npu":
        raise UsageError(
            f"--emulate runs the NPU's pipeline on the CPU, and the device is '{device}'",
            "give --device npu with it, or leave it out",
        )
    if runtime != "openvino":
        raise UsageError(
            f"--emulate is for the NPU, which the runtime {runtime} does not reach",
            "convert the model again with --for npu",
        )


def emulated_npu(devices: Sequence[Device]) -> Device:
    """What stands for the NPU; its precisions are the CPU's."""
    cpu = next((device for device in devices if device.kind == "cpu"), None)
    precisions = cpu.precisions if cpu else ()
    return Device("NPU", "npu", _NAME, precisions=precisions, runtimes=("openvino",))


def emulation_properties() -> tuple[dict[str, str], list[str]]:
    """(properties, reasons)."""
    from aipc.runtimes.openvino.npu import EMULATION

    settings = ", ".join(f"{name}={value}" for name, value in EMULATION.items())
    reason = f"{settings}: emulation was requested: the CPU computes the NPU's pipeline, slowly"
    return dict(EMULATION), [reason]
