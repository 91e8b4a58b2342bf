"""What can be wrong with a machine, each with its fix: `aipc doctor`."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from aipc import remedies
from aipc.devices.adapters import Adapter
from aipc.devices.machine import Machine, Surroundings
from aipc.devices.wheels import clashes, install_command, wheel_for
from aipc.tables import read_table

PASS, WARN, FAIL = "pass", "warn", "fail"
ROOM, MEMORY = 10 * 10**9, 6 * 10**9
"""Bytes that Phi-3-mini in int4 takes: its checkpoint and the artifact; weights, cache, Python."""
_SLOW_PROFILES = {"power-saver", "low-power", "quiet", "power", "battery saver"}
_OLDEST_PYTHON = (3, 10)
_NPU_KERNEL = (6, 6)


@dataclass(frozen=True)
class Requirement:
    """One entry; the fields are explained in the file."""

    kind: str
    maker: str
    system: str
    device: str
    minimum: str
    what: str
    fix: str
    source: str
    read: str

    def is_met(self, version: str) -> bool:
        return _numbers(version) >= _numbers(self.minimum)


@cache
def requirements() -> tuple[Requirement, ...]:
    """Every entry of drivers.toml."""
    return tuple(
        Requirement(**entry) for entry in read_table(__package__, "drivers.toml")["driver"]
    )


def requirement(adapter: Adapter, system: str) -> Requirement | None:
    """The requirement on the driver of ``adapter`` on a system; None where none is known."""
    fitting = [
        entry
        for entry in requirements()
        if (entry.kind, entry.maker, entry.system) == (adapter.kind, adapter.maker, system)
        and entry.device in {"", adapter.device_id}
    ]
    return max(fitting, key=lambda entry: len(entry.device), default=None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


@dataclass(frozen=True)
class Check:
    """``what`` was found; ``fix`` is what to do, empty when there is nothing."""

    name: str
    outcome: str
    what: str
    fix: str = ""


@dataclass(frozen=True)
class CheckContext:
    """All that the checks look at."""

    machine: Machine
    surroundings: Surroundings
    store: str
    room: int
    """Free bytes where the store is."""
    system: str = platform.system()
    refusal: str = ""
    """Why nothing can be written to the store; empty: it can."""
    quarantined: tuple[str, ...] = ()
    """What devices were seen to compute wrongly, a line each."""


def run_checks(context: CheckContext) -> tuple[Check, ...]:
    """Every check that applies to this machine, in a fixed order."""
    return tuple(check for checks in _CHECKS for check in checks(context))


def _python(context: CheckContext) -> Iterator[Check]:
    machine = context.machine
    what = f"Python {machine.python}, {'64' if sys.maxsize > 2**32 else '32'} bits"
    if sys.version_info < _OLDEST_PYTHON or sys.maxsize <= 2**32:
        yield Check("python", FAIL, what, "install Python 3.10 or newer, for 64 bits")
    else:
        yield Check("python", PASS, what)


def _processor(context: CheckContext) -> Iterator[Check]:
    cpu = context.machine.cpu
    what = f"{cpu.name}: {' '.join(cpu.features) or 'no matrix instructions known'}"
    is_old_x86 = cpu.architecture in {"x86_64", "AMD64"} and "avx2" not in cpu.features
    if is_old_x86:
        yield Check("processor", WARN, f"{what}; without AVX2 every model is slow here")
    else:
        yield Check("processor", PASS, what)


def _packages(context: CheckContext) -> Iterator[Check]:
    versions = context.machine.versions
    found = clashes()
    for clash in found:
        yield Check("packages", FAIL, clash.what, clash.fix)
    if not versions:
        fix = install_command(wheel_for("cpu") or "onnx")
        yield Check("packages", FAIL, "no runtime is installed, which would compute", fix)
    elif not found:
        listed = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield Check("packages", PASS, listed)


def _runtimes(context: CheckContext) -> Iterator[Check]:
    """Whether each installed runtime loads, and reaches something."""
    reached = {name for device in context.machine.devices for name in device.runtimes}
    for runtime, package in (("openvino", "openvino"), ("onnx", "onnxruntime-genai")):
        is_here = any(name.startswith(package) for name in context.machine.versions)
        if runtime in reached:
            names = [d.name.lower() for d in context.machine.devices if runtime in d.runtimes]
            yield Check(f"runtime {runtime}", PASS, f"reaches {', '.join(names)}")
        elif is_here:
            fix = "the problems below say why" if context.machine.problems else "install it again"
            yield Check(f"runtime {runtime}", FAIL, "is installed and reaches no device", fix)


def _problems(context: CheckContext) -> Iterator[Check]:
    """The errors of the runtimes themselves; clashes of packages have their own check."""
    known = {str(clash) for clash in clashes()}
    for problem in context.machine.problems:
        if problem not in known:
            what, _, fix = problem.partition("; ")
            yield Check("device", FAIL, what, fix)


def _adapters(context: CheckContext) -> Iterator[Check]:
    missing = {one.adapter: one.missing for one in context.machine.unreached}
    for adapter in context.machine.adapters:
        if not adapter.may_open:
            continue  # `_permissions` reports it
        if adapter not in missing:
            yield Check(adapter.kind, PASS, f"{adapter.name}: a runtime reaches it")
        elif missing[adapter].startswith("no runtime"):
            yield Check(adapter.kind, WARN, f"{adapter.name}: {missing[adapter]}")
        else:
            yield Check(
                adapter.kind, WARN, f"{adapter.name}: no runtime reaches it", missing[adapter]
            )


def _drivers(context: CheckContext) -> Iterator[Check]:
    for adapter in context.machine.adapters:
        needed = requirement(adapter, context.system)
        if needed is None or adapter.driver is None:
            continue
        what = f"{needed.what} {adapter.driver}"
        if needed.is_met(adapter.driver):
            yield Check("driver", PASS, what)
        else:
            yield Check("driver", FAIL, f"{what} is older than {needed.minimum}", needed.fix)


def _npu_kernel(context: CheckContext) -> Iterator[Check]:
    """Source of the number: docs.openvino.ai, Configurations for Intel NPU."""
    kernel = context.surroundings.kernel
    has_npu = any(one.kind == "npu" and one.maker == "intel" for one in context.machine.adapters)
    if not kernel or not has_npu:
        return
    parts = kernel.split("-")[0].split(".")
    if tuple(int(part) for part in parts[:2] if part.isdigit()) < _NPU_KERNEL:
        yield Check("kernel", FAIL, f"Linux {kernel}", "the NPU needs Linux 6.6 or newer")


def _permissions(context: CheckContext) -> Iterator[Check]:
    nodes = [adapter for adapter in context.machine.adapters if adapter.node]
    for adapter in nodes:
        if not adapter.may_open:
            yield Check(
                "permission",
                FAIL,
                f"you may not open {adapter.node}, which is {adapter.name}'s",
                f"{remedies.command('render-group')}, then log in again",
            )
    if nodes and all(adapter.may_open for adapter in nodes):
        yield Check("permission", PASS, "you may open every device's file")


def _hiding(context: CheckContext) -> Iterator[Check]:
    if context.surroundings.is_remote_desktop:
        yield Check(
            "session",
            WARN,
            "this is a remote desktop, which hides GPUs from DirectX",
            "sit at the machine itself, or reach it through ssh",
        )
    if context.surroundings.is_wsl:
        yield Check(
            "session",
            WARN,
            "this is Linux within Windows (WSL), which has no NPU",
            "run aipc in Windows itself to use the NPU",
        )


def _vulkan(context: CheckContext) -> Iterator[Check]:
    if "onnxruntime-ep-webgpu" not in context.machine.versions or context.system != "Linux":
        return
    if context.surroundings.has_vulkan:
        yield Check("vulkan", PASS, "a Vulkan loader is installed")
    else:
        yield Check(
            "vulkan",
            FAIL,
            "WebGPU is installed and there is no Vulkan loader",
            remedies.command("vulkan") or "install the Vulkan loader, libvulkan.so.1",
        )


def _power(context: CheckContext) -> Iterator[Check]:
    profile = context.surroundings.power_profile
    if profile in _SLOW_PROFILES:
        fix = "plug it in and choose balanced or performance"
        yield Check("power", WARN, f"the power profile is '{profile}': everything is slower", fix)
    elif profile:
        yield Check("power", PASS, f"the power profile is '{profile}'")


def _memory(context: CheckContext) -> Iterator[Check]:
    memory = context.machine.memory
    left = memory.available
    what = f"{left / 1e9:.1f} GB of {memory.total / 1e9:.1f} GB available"
    if left < MEMORY:
        wanted = f"Phi-3-mini in int4 needs {MEMORY / 1e9:.0f} GB"
        fix = f"{wanted}: close programs, or take a smaller one (`aipc models --available`)"
        yield Check("memory", WARN, what, fix)
    else:
        yield Check("memory", PASS, what)


def _store(context: CheckContext) -> Iterator[Check]:
    if context.refusal:
        fix = "set AIPC_HOME to a folder that you may write to"
        what = f"nothing can be written to {context.store} ({context.refusal})"
        yield Check("store", FAIL, what, fix)
    else:
        yield Check("store", PASS, f"models are kept in {context.store}")


def _trust(context: CheckContext) -> Iterator[Check]:
    for words in context.quarantined:
        fix = "it is not used for that model until its driver is another: update the driver"
        yield Check("trust", WARN, words, fix)


def _disk(context: CheckContext) -> Iterator[Check]:
    what = f"{context.room / 1e9:.1f} GB free where models are kept"
    if context.room < ROOM:
        fix = f"Phi-3-mini needs {ROOM / 1e9:.0f} GB: free some, or set AIPC_HOME to a larger disk"
        yield Check("disk", WARN, what, fix)
    else:
        yield Check("disk", PASS, what)


_CHECKS: tuple[Callable[[CheckContext], Iterator[Check]], ...] = (
    _python,
    _processor,
    _memory,
    _store,
    _disk,
    _power,
    _hiding,
    _packages,
    _runtimes,
    _trust,
    _problems,
    _adapters,
    _drivers,
    _npu_kernel,
    _permissions,
    _vulkan,
)
