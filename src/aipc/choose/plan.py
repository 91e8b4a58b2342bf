"""The plan for one session: which runtime, on which device, with which properties, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aipc.choose.artifact import Artifact
from aipc.choose.rules import rules
from aipc.convert.recipe import Recipe
from aipc.convert.targets import TARGETS
from aipc.devices import Device, resolve_device
from aipc.errors import ArtifactError, DeviceError
from aipc.runtimes.registry import RUNTIMES


@dataclass(frozen=True)
class Plan:
    """``device`` is the vendor's name; ``why`` gives one reason a decision, in plain words."""

    runtime: str
    device: str
    properties: Mapping[str, str]
    why: tuple[str, ...]


def choose(
    artifact: Artifact,
    devices: Sequence[Device],
    *,
    device: str = "auto",
    runtime: str = "auto",
    properties: Mapping[str, str] | None = None,
) -> Plan:
    """Decide, on ``devices`` (what this machine has); what the user asked for is kept to.

    Raises:
        UsageError: a name that is no device or runtime.
        DeviceError: this machine does not have what was asked for.
        ArtifactError: the artifact was made for another runtime than was asked for, or with a
            recipe that the device can't run.
    """
    name = _runtime(artifact, runtime)
    found = _device(devices, device, name)
    _check_recipe(artifact, found)
    _check_reach(found, name)
    asked = dict(properties or {})
    chosen, why = _properties(name, found, artifact.weights, asked)
    return Plan(name, found.name, {**chosen, **asked}, (_device_reason(device, found), *why))


def _runtime(artifact: Artifact, asked: str) -> str:
    if asked not in {"auto", artifact.target}:
        RUNTIMES.check(asked)
        raise ArtifactError(
            f"'{artifact.path.name}' was made for {artifact.target}, not for {asked}",
            f"leave --runtime out, or convert the model again with --runtime {asked}",
        )
    return artifact.target


def _device(devices: Sequence[Device], asked: str, runtime: str) -> Device:
    reachable = [device for device in devices if runtime in device.runtimes]
    name = resolve_device(asked, [device.name for device in reachable])
    return next(device for device in reachable if device.name == name)


def _check_reach(device: Device, runtime: str) -> None:
    kinds = RUNTIMES.get(runtime).kinds
    if device.kind not in kinds:
        raise DeviceError(
            f"the runtime {runtime} can't generate on the {device.kind.upper()} here yet",
            f"ask for {' or '.join(sorted(kinds))}",
        )


def _check_recipe(artifact: Artifact, device: Device) -> None:
    """Asymmetric int4, say, makes an NPU answer nonsense without any error."""
    stated, target = artifact.facts.get("recipe"), TARGETS.get(device.kind)
    misfit = target.misfit(Recipe(**stated)) if stated and target else ""
    if misfit:
        raise ArtifactError(
            f"the {device.kind.upper()} can't run '{artifact.path.name}': {misfit}",
            f"convert the model again with --for {device.kind}",
        )


def _device_reason(asked: str, device: Device) -> str:
    if asked.lower() != "auto":
        return f"{device.name}: asked for"
    return f"{device.name}: the default; nothing was measured on this machine yet"


def _properties(
    runtime: str, device: Device, weights: str | None, asked: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    chosen: dict[str, str] = {}
    why: list[str] = []
    for rule in rules():
        new = {k: v for k, v in rule.properties.items() if k not in asked and k not in chosen}
        if new and rule.holds(runtime, device, weights):
            chosen |= new
            why.append(f"{', '.join(f'{k}={v}' for k, v in new.items())}: {rule.why}")
    return chosen, why
