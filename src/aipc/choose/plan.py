"""The plan for one session: which runtime, on which device, with which properties, and why.

On a machine without an NPU its pipeline can be emulated: the CPU computes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from aipc.artifact.artifact import Artifact
from aipc.choose.order import rank
from aipc.convert import targets
from aipc.convert.recipe import recorded_recipe
from aipc.devices import Device, resolve_device
from aipc.devices.device import check_hardware, plain_name
from aipc.devices.wheels import install_command, wheel_for
from aipc.errors import ArtifactError, DeviceError, UsageError
from aipc.runtimes.registry import RUNTIMES
from aipc.tables import read_table

if TYPE_CHECKING:
    from aipc.choose.measured import Tuned
    from aipc.choose.setup import ProbedChoice


_GB = 1e9
_NAME = "NPU emulated on the CPU"


@dataclass(frozen=True)
class Rule:
    runtime: str
    device: str
    weights: list[str]
    precisions: list[str]
    why: str
    source: str
    properties: Mapping[str, str]
    small: bool = False

    def holds(
        self, runtime: str, device: Device, weights: str | None, parameters: int | None
    ) -> bool:
        is_small = parameters is not None and parameters < targets.SMALL_PARAMETERS
        return (
            self.runtime == runtime
            and self.device == device.kind
            and weights in self.weights
            and set(self.precisions) <= set(device.precisions)
            and (is_small or not self.small)
        )


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule, in the file's order."""
    return tuple(Rule(**entry) for entry in read_table(__package__, "rules.toml")["rule"])


@dataclass(frozen=True)
class Plan:
    """``device`` is the vendor's name; ``why`` gives one reason a decision, in plain words."""

    runtime: str
    device: str
    properties: Mapping[str, str]
    why: tuple[str, ...]
    device_name: str = ""
    """The maker's name for the device, or that it is emulated."""


def choose(
    artifact: Artifact,
    devices: Sequence[Device],
    *,
    device: str = "auto",
    runtime: str = "auto",
    properties: Mapping[str, str] | None = None,
    emulate: bool = False,
    tuned: Tuned | None = None,
    probed: ProbedChoice | None = None,
) -> Plan:
    """Decide, on ``devices`` (what this machine has); the user's requests are kept.

    Args:
        artifact: what is to be run.
        devices: as `aipc.devices.reachable_devices` gives them.
        device: auto, npu, gpu, gpu.N, cpu, cuda, cuda.N, directml, directml.N or webgpu.
        runtime: auto, openvino or onnx.
        properties: the vendor's own; they override those that the rules choose.
        emulate: run the NPU's pipeline on the CPU; goes with ``device="npu"`` alone.
        tuned: what was measured to be best for this artifact here; its device and properties
            override the default order and the rules.  ``device`` has to agree with it.
        probed: what some blocks of the model promised here, where nothing was tuned; its device
            overrides the default order.  ``device`` has to agree with it.

    Raises:
        UsageError: a name that is no device or runtime, or ``emulate`` with another device.
        DeviceError: this machine does not have what was requested.
        ArtifactError: the artifact was made for another runtime or provider than was
            requested, or with a recipe that the device can't run.
    """
    name = _runtime(artifact, runtime)
    wanted = plain_name(device)
    if emulate:
        check_emulation(wanted, name)
        devices = [emulated_npu(devices)]
    reachable = [device for device in devices if name in device.runtimes]
    check_installed(reachable, name)
    if tuned:
        found, why = _requested(artifact, reachable, name, tuned.setup.device.lower(), tuned.why)
    elif probed:
        found, _ = _requested(artifact, reachable, name, probed.device.lower(), "")
        why = list(probed.why)
    elif wanted == "auto":
        found, why = _best(artifact, reachable, name)
    else:
        found, why = _requested(artifact, reachable, name, wanted, "requested")
    requested = dict(properties or {})
    if tuned:
        chosen = {k: v for k, v in tuned.setup.properties.items() if k not in requested}
        reasons = [f"{_joined(chosen)}: measured with the device"] if chosen else []
    else:
        chosen, reasons = rule_properties(
            name, found, artifact.weights, artifact.parameters, requested
        )
    if emulate:
        chosen, reasons = emulation_properties()
    return Plan(name, found.name, {**chosen, **requested}, (*why, *reasons), found.full_name)


def check_installed(reachable: Sequence[Device], runtime: str, kind: str = "cpu") -> None:
    """Refuse ONNX Runtime where no device is reached by it; it was meant for ``kind``.

    Raises:
        DeviceError: it is not installed, or could not help, for want of the hardware.
    """
    if not reachable and runtime == "onnx":
        check_hardware(kind)
        extra = wheel_for(kind) or "onnx"
        raise DeviceError("ONNX Runtime GenAI is not installed here", install_command(extra))


def target_for(device: Device, runtime: str) -> targets.Target:
    """What a model is converted for, to run on this very device through the runtime."""
    return targets.find_target(device.kind, runtime).fitting(device.precisions)


def objection(artifact: Artifact, device: Device, runtime: str) -> str:
    """Why ``device`` can't run ``artifact`` with its runtime; empty: it can."""
    kinds = RUNTIMES.get(runtime).kinds
    if device.kind not in kinds:
        return f"the runtime {runtime} can't generate on the {device.kind.upper()} here yet"
    if artifact.kinds is not None and device.kind not in artifact.kinds:
        return f"'{artifact.path.name}' was made for {artifact.provider or 'the CPU'}"
    misfit = _misfit(artifact, device, runtime) or _lacking(artifact, device)
    if misfit:
        return f"the {device.kind.upper()} can't run '{artifact.path.name}': {misfit}"
    return ""


def _lacking(artifact: Artifact, device: Device) -> str:
    if device.computes_in(artifact.activations):
        return ""
    return f"it computes in {artifact.activations}, which this device does not"


def _runtime(artifact: Artifact, requested: str) -> str:
    if requested not in {"auto", artifact.target}:
        RUNTIMES.check(requested)
        raise ArtifactError(
            f"'{artifact.path.name}' was made for {artifact.target}, not for {requested}",
            f"leave --runtime out, or convert the model again with --runtime {requested}",
        )
    return artifact.target


def _requested(
    artifact: Artifact, reachable: Sequence[Device], runtime: str, wanted: str, why: str
) -> tuple[Device, list[str]]:
    name = resolve_device(wanted, [device.name for device in reachable])
    found = next(device for device in reachable if device.name == name)
    against = objection(artifact, found, runtime)
    if against and found.kind not in RUNTIMES.get(runtime).kinds:
        kinds = " or ".join(sorted(RUNTIMES.get(runtime).kinds))
        raise DeviceError(against, f"ask for {kinds}")
    if against:
        flags = target_for(found, runtime).flags
        raise ArtifactError(against, f"convert the model again with {flags}")
    return found, [f"{found.name}: {why}"]


def _best(
    artifact: Artifact, reachable: Sequence[Device], runtime: str
) -> tuple[Device, list[str]]:
    nbytes = artifact.nbytes

    def against(device: Device, entry_runtime: str) -> str:
        if entry_runtime != runtime:
            return f"'{artifact.path.name}' was made for {runtime}"
        return objection(artifact, device, runtime) or _too_small(device, nbytes)

    ranked = [one for one in rank(reachable, against) if one.runtime == runtime]
    why = [
        f"{one.device}: {one.why}" if one.taken else f"{one.device}: passed over, {one.why}"
        for one in ranked
    ]
    if not ranked or not ranked[-1].taken:
        raise DeviceError(
            f"no device of this machine can run '{artifact.path.name}': {'; '.join(why)}",
            "`aipc devices --explain` shows what is here",
        )
    taken = next(device for device in reachable if device.name == ranked[-1].device)
    return taken, [why[-1], *why[:-1]]


def _too_small(device: Device, nbytes: int) -> str:
    if device.memory_bytes is None or nbytes <= device.memory_bytes:
        return ""
    has, takes = device.memory_bytes / _GB, nbytes / _GB
    return f"it has {has:.1f} GB of memory, and the model takes {takes:.1f} GB"


def _misfit(artifact: Artifact, device: Device, runtime: str) -> str:
    """Why the recipe does not suit: asymmetric int4 makes an NPU's answers nonsense, silently."""
    stated = artifact.facts.get("recipe")
    named = (target for target in targets.ALL if target.name == device.kind)
    target = next((one for one in named if one.runtime == runtime), None)
    try:
        return target.misfit(recorded_recipe(stated)) if stated and target else ""
    except (UsageError, TypeError) as error:
        raise ArtifactError(
            f"'{artifact.path}' was made by a recipe that is none here ({error})",
            "convert the model again",
        ) from error


def rule_properties(
    runtime: str,
    device: Device,
    weights: str | None,
    parameters: int | None,
    requested: Mapping[str, str],
) -> tuple[dict[str, str], list[str]]:
    """(properties that the rules add to those requested, a reason for each rule).

    ``parameters`` are the network's, None where they are not known.
    """
    chosen: dict[str, str] = {}
    why: list[str] = []
    for rule in rules():
        new = {k: v for k, v in rule.properties.items() if k not in requested and k not in chosen}
        if new and rule.holds(runtime, device, weights, parameters):
            chosen |= new
            why.append(f"{_joined(new)}: {rule.why}")
    return chosen, why


def _joined(properties: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in properties.items())


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
    """The device used as the NPU; its precisions are the CPU's."""
    cpu = next((device for device in devices if device.kind == "cpu"), None)
    precisions = cpu.precisions if cpu else ()
    return Device("NPU", "npu", _NAME, precisions=precisions, runtimes=("openvino",))


def emulation_properties() -> tuple[dict[str, str], list[str]]:
    """(properties, reasons)."""
    from aipc.runtimes.openvino.npu import EMULATION

    settings = ", ".join(f"{name}={value}" for name, value in EMULATION.items())
    reason = f"{settings}: emulation was requested: the CPU computes the NPU's pipeline, slowly"
    return dict(EMULATION), [reason]
