"""Where a facade's model runs: as the program says, unless AIPC_DEVICE says otherwise.

A program that names a device ('GPU.0', or the NPU by its very class) can so be tried, and
tested, on a machine that has none:

    AIPC_DEVICE=cpu       on the CPU, or any other name that --device takes
    AIPC_DEVICE=emulate   the NPU's pipeline, on the CPU
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aipc.errors import DeviceError
from aipc.facade.arguments import notice

VARIABLE = "AIPC_DEVICE"
EMULATE = "emulate"


@dataclass(frozen=True)
class Placement:
    """``device`` is a name that `aipc.load` takes; ``emulate`` runs the NPU's on the CPU."""

    device: str
    emulate: bool = False

    @property
    def options(self) -> Mapping[str, Any]:
        """Arguments of `aipc.load`."""
        return {"device": self.device} | ({"emulate": True} if self.emulate else {})

    def advise(self, error: DeviceError) -> DeviceError:
        """The same error, with the variable among the things to do."""
        choices = f"{VARIABLE}=cpu runs this program on the CPU as it is"
        if self.device.lower() == "npu":
            choices += f", {VARIABLE}={EMULATE} runs the NPU's pipeline there (slow, for tests)"
        return DeviceError(error.what, f"{error.fix}; {choices}" if error.fix else choices)


def place(device: str, *, emulate: bool = False) -> Placement:
    """What the program asks for, or what the environment says in its place."""
    asked = Placement(device, emulate)
    wanted = os.environ.get(VARIABLE, "").strip().lower()
    if not wanted:
        return asked
    chosen = Placement("npu", emulate=True) if wanted == EMULATE else Placement(wanted)
    if chosen != asked:
        notice(f"{VARIABLE}={wanted}: the program asks for {_words(asked)}")
    return chosen


def _words(asked: Placement) -> str:
    return f"{asked.device}, emulated" if asked.emulate else asked.device
