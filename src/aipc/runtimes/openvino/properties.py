"""OpenVINO's own properties, as a user gives them: refused when the device does not know them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from aipc.errors import UsageError
from aipc.runtimes.prompt_lookup import PROPERTIES

ANY_DEVICE = frozenset({"CACHE_DIR", "CACHE_MODE", "ENABLE_MMAP", "ATTENTION_BACKEND"})
"""Known to OpenVINO's core and to GenAI themselves, so that no device lists them."""
NPU_OPTIONS = {
    "MAX_PROMPT_LEN": "--max-prompt-len",
    "MIN_RESPONSE_LEN": "--min-response-len",
    "PREFILL_HINT": "--prefill-hint",
    "GENERATE_HINT": "--generate-hint",
    "EXPORT_BLOB": "",
    "BLOB_PATH": "",
    "WEIGHTS_PATH": "",
}
"""What the NPU's pipeline is given by an option of ours, or by the cache of blobs."""


def check_properties(core: Any, device: str, properties: Mapping[str, str]) -> None:
    """Refuse a property that ``device`` can't set.

    Raises:
        UsageError: naming the property and the nearest known one.
    """
    if not properties:
        return
    supported = core.get_property(device, "SUPPORTED_PROPERTIES")
    known = ANY_DEVICE | PROPERTIES | {name for name, access in supported.items() if access != "RO"}
    for name in properties:
        if name not in known:
            near = _nearest(name, known)
            fix = f"did you mean {near}?" if near else "see OpenVINO's list of its properties"
            raise UsageError(f"{device} has no property {name}", fix)


def _nearest(name: str, known: frozenset[str]) -> str:
    """Whatever the case: GenAI writes its own properties in small letters."""
    by_capitals = {each.upper(): each for each in known}
    near = difflib.get_close_matches(name.upper(), by_capitals, n=1)
    return by_capitals[near[0]] if near else ""


def check_npu_properties(core: Any, properties: Mapping[str, str]) -> None:
    """Refuse for the NPU a property that has an option here, or that nobody knows.

    The NPU's pipeline lists none of its own properties (NPUW_…), and hands what it does not
    know to the devices that compute.

    Raises:
        UsageError: naming the option, or the nearest known property.
    """
    for name in properties:
        if name in NPU_OPTIONS:
            fix = f"give {NPU_OPTIONS[name]}" if NPU_OPTIONS[name] else "leave it out"
            raise UsageError(f"aipc sets {name} itself", fix)
        if name in PROPERTIES:
            raise UsageError(f"the NPU has no prompt lookup ({name})", "leave it out, or use cpu")
    own = ("NPU_", "NPUW_", "++NPUW_")
    others = {k: v for k, v in properties.items() if not k.startswith(own)}
    emulated = properties.get("NPUW_DEVICES", "NPU").startswith("CPU")
    check_properties(core, "CPU" if emulated else "NPU", others)
