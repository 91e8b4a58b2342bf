"""What may be varied for a model on a device through a runtime: properties and weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from aipc.choose.runtime_device import RuntimeDevice
from aipc.choose.setup import Setup
from aipc.convert.quality import is_coarser
from aipc.convert.recipe import Recipe
from aipc.tables import read_table


@dataclass(frozen=True)
class Candidate:
    """A setup, and what speaks for trying it."""

    setup: Setup
    why: str


def default_candidate(one: RuntimeDevice) -> Candidate:
    """What a session takes there where nothing was measured."""
    return Candidate(one.default(), "the default choice")


def variants(one: RuntimeDevice, recipe: Recipe | None) -> Iterator[Candidate]:
    """Other properties for the same weights."""
    weights = recipe.weight_format if recipe else one.weights
    for entry in _table()["properties"]:
        computes = set(entry["precisions"]) <= set(one.device.precisions)
        if _suits(one, entry) and computes and weights in entry["weights"]:
            yield Candidate(_setup(one, recipe, entry["values"]), entry["why"])


def additions(one: RuntimeDevice, setup: Setup, work: str) -> Iterator[Candidate]:
    """Properties on top of those of ``setup``, for this kind of work."""
    for entry in _table()["addition"]:
        if _suits(one, entry) and entry["work"] == work:
            values = {**setup.properties, **entry["values"]}
            yield Candidate(_setup(one, setup.recipe, values), entry["why"])


def recipes(one: RuntimeDevice, *, is_bounded: bool, for_quality: bool) -> Iterator[Candidate]:
    """Other weights with their default properties; none for an artifact.

    ``is_bounded``: the loss of quality is measured and has a bound.  Else what loses well more than
    the target's own recipe is left out.
    """
    if one.target is None:
        return
    for entry in _table()["recipe"]:
        recipe = Recipe(**entry["weights"])
        is_slow = entry["slow"] and not for_quality
        allowed = is_bounded or not (is_slow or is_coarser(recipe, one.target.recipe))
        if allowed and not one.target.misfit(recipe):
            yield Candidate(one.default(recipe), entry["why"])


def _setup(one: RuntimeDevice, recipe: Recipe | None, properties: Mapping[str, str]) -> Setup:
    return Setup(one.runtime, one.device.name, recipe, dict(properties))


def _suits(one: RuntimeDevice, entry: Mapping[str, Any]) -> bool:
    return entry["runtime"] == one.runtime and one.device.kind in entry["kinds"]


@cache
def _table() -> Mapping[str, Any]:
    return read_table(__package__, "candidates.toml")
