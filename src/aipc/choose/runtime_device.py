"""A device through a runtime: what a model may run on, in the documented order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from aipc.artifact.artifact import Artifact
from aipc.choose.order import order
from aipc.choose.plan import objection, rule_properties, target_for
from aipc.choose.setup import Setup
from aipc.convert.recipe import Recipe
from aipc.convert.targets import Target
from aipc.devices import Device
from aipc.runtimes.registry import RUNTIMES


@dataclass(frozen=True)
class RuntimeDevice:
    """A device through a runtime; ``weights`` is an own artifact's format, None for a checkpoint.

    ``target`` is what a checkpoint is converted for; None for an artifact.
    """

    device: Device
    runtime: str
    target: Target | None
    weights: str | None = None
    parameters: int | None = None
    """The network's, on which recipe and properties depend; None: not known."""

    def sized(self, parameters: int) -> RuntimeDevice:
        """The same for a checkpoint of so many parameters."""
        target = self.target and self.target.sized(parameters)
        return replace(self, target=target, parameters=parameters)

    def default(self, recipe: Recipe | None = None) -> Setup:
        """What a session takes there where nothing was measured; a recipe is the user's own."""
        if self.target:
            recipe = recipe or self.target.recipe
        weights = recipe.weight_format if recipe else self.weights
        properties, _ = rule_properties(self.runtime, self.device, weights, self.parameters, {})
        return Setup(self.runtime, self.device.name, recipe, properties)


def runtime_devices(
    devices: Sequence[Device],
    *,
    device: str = "auto",
    runtime: str = "auto",
    artifact: Artifact | None = None,
) -> tuple[RuntimeDevice, ...]:
    """Every device through every runtime that can run the model, in the default order.

    ``device`` is a vendor's name or "auto", which no software device is; both narrow the choice.
    An ``artifact`` runs as it is.
    """
    found: dict[tuple[str, str], RuntimeDevice] = {}
    for name, one in _reached(devices, device, runtime):
        if artifact is None:
            entry = RuntimeDevice(one, name, target_for(one, name))
        elif name == artifact.target and not objection(artifact, one, name):
            entry = RuntimeDevice(one, name, None, artifact.weights, artifact.parameters)
        else:
            continue
        found.setdefault((one.name, name), entry)
    return tuple(found.values())


def _reached(devices: Sequence[Device], device: str, runtime: str) -> Iterator[tuple[str, Device]]:
    """(runtime, device) in the default order, of those requested."""
    for entry in order():
        generates = entry.kind in RUNTIMES.get(entry.runtime).kinds
        for one in devices:
            is_meant = device == one.name or (device == "auto" and not one.is_software)
            is_requested = is_meant and runtime in {"auto", entry.runtime}
            if is_requested and generates and entry.holds(one):
                yield entry.runtime, one
