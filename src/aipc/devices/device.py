"""One device that a runtime can compute on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Device:
    name: str
    """As its runtime addresses it: "CPU", "GPU", "GPU.0", "NPU"."""
    kind: str
    """Its family, lower case: "cpu", "gpu", "npu"."""
    full_name: str
    """As its maker calls it."""
    driver: str | None = None
    """The driver's version; None where there is none or the runtime does not tell."""
    memory_bytes: int | None = None
    """Memory that it can address; None for the machine's own memory or where unknown."""
    precisions: tuple[str, ...] = ()
    """Number formats that it computes in, widest first: "fp32", "bf16", "fp16", "int8"."""
    runtimes: tuple[str, ...] = ()
    """Who can address it, as in ``--runtime``."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else the runtime says, ready for JSON: architecture, capabilities …"""


def kind_of(name: str) -> str:
    """The family of a vendor's device name: "GPU.0" is a "gpu"."""
    return name.partition(".")[0].lower()
