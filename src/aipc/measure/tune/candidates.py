"""What may be chosen for a model here: devices through runtimes, what can be varied on each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from aipc.choose import Artifact
from aipc.choose.order import order
from aipc.choose.plan import objection, rule_properties
from aipc.choose.setup import Setup
from aipc.convert.recipe import Recipe
from aipc.convert.targets import Target, find_target
from aipc.devices import Device
from aipc.runtimes.registry import RUNTIMES
from aipc.tables import read_table


@dataclass(frozen=True)
class Candidate:
    """A setup, and what speaks for trying it."""

    setup: Setup
    why: str


@dataclass(frozen=True)
class RuntimeDevice:
    """A device through a runtime; ``weights`` is an own artifact's format, None for a checkpoint.

    ``target`` is what a checkpoint is converted for; None for an artifact.
    """

    device: Device
    runtime: str
    target: Target | None
    weights: str | None = None

    @property
    def default(self) -> Candidate:
        """What a session takes there where nothing was measured."""
        recipe = self.target.recipe if self.target else None
        weights = recipe.weight_format if recipe else self.weights
        properties, _ = rule_properties(self.runtime, self.device, weights, {})
        return Candidate(self._setup(recipe, properties), "the default choice")

    def variants(self, recipe: Recipe | None) -> Iterator[Candidate]:
        """Other properties for the same weights."""
        weights = recipe.weight_format if recipe else self.weights
        for entry in _table()["properties"]:
            computes = set(entry["precisions"]) <= set(self.device.precisions)
            if self._suits(entry) and computes and weights in entry["weights"]:
                yield Candidate(self._setup(recipe, entry["values"]), entry["why"])

    def additions(self, setup: Setup, work: str) -> Iterator[Candidate]:
        """Properties on top of those of ``setup``, for this kind of work."""
        for entry in _table()["addition"]:
            if self._suits(entry) and entry["work"] == work:
                values = {**setup.properties, **entry["values"]}
                yield Candidate(self._setup(setup.recipe, values), entry["why"])

    def recipes(self, *, is_bounded: bool, for_quality: bool) -> Iterator[Candidate]:
        """Other weights with their default properties; none for an artifact.

        ``is_bounded``: the loss of quality is measured and has a bound.
        """
        for entry in _table()["recipe"] if self.target else ():
            recipe = Recipe(**entry["weights"])
            allowed = is_bounded or not (entry["coarse"] or (entry["slow"] and not for_quality))
            if allowed and self.target and not self.target.misfit(recipe):
                properties, _ = rule_properties(self.runtime, self.device, recipe.weight_format, {})
                yield Candidate(self._setup(recipe, properties), entry["why"])

    def _setup(self, recipe: Recipe | None, properties: Mapping[str, str]) -> Setup:
        return Setup(self.runtime, self.device.name, recipe, dict(properties))

    def _suits(self, entry: Mapping[str, Any]) -> bool:
        return entry["runtime"] == self.runtime and self.device.kind in entry["kinds"]


def runtime_devices(
    devices: Sequence[Device],
    *,
    device: str = "auto",
    runtime: str = "auto",
    artifact: Artifact | None = None,
) -> tuple[RuntimeDevice, ...]:
    """Every device through every runtime that can run the model, in the default order.

    ``device`` is a vendor's name or "auto"; both narrow the choice.  An ``artifact`` runs as it is.
    """
    found: dict[tuple[str, str], RuntimeDevice] = {}
    for name, one in _reached(devices, device, runtime):
        if artifact is None:
            entry = RuntimeDevice(one, name, find_target(one.kind, name))
        elif name == artifact.target and not objection(artifact, one, name):
            entry = RuntimeDevice(one, name, None, artifact.weights)
        else:
            continue
        found.setdefault((one.name, name), entry)
    return tuple(found.values())


def _reached(devices: Sequence[Device], device: str, runtime: str) -> Iterator[tuple[str, Device]]:
    """(runtime, device) in the default order, of those requested."""
    for entry in order():
        generates = entry.kind in RUNTIMES.get(entry.runtime).kinds
        for one in devices:
            is_requested = device in {"auto", one.name} and runtime in {"auto", entry.runtime}
            if is_requested and generates and entry.holds(one):
                yield entry.runtime, one


@cache
def _table() -> Mapping[str, Any]:
    return read_table(__package__, "candidates.toml")
