"""The devices that an artifact can target, and the recipes that each can run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aipc.artifact.providers import GRAPH_FORMS
from aipc.convert.recipe import EMBEDDING_GROUP, Recipe
from aipc.errors import UsageError
from aipc.tables import read_table


@dataclass(frozen=True)
class Target:
    """One line of targets.toml; an empty tuple allows every value."""

    name: str
    runtime: str
    recipe: Recipe
    """Its default, for a network of ordinary size where `sized` has not been told another."""
    small: Recipe
    """The default for a network of fewer than SMALL_PARAMETERS."""
    groups: tuple[int, ...]
    sym: tuple[bool, ...]
    ratios: tuple[float, ...]
    source: str
    activations: str = ""
    """What its graph computes in, "fp32", where that is not the usual."""

    def computing_in(self, activations: str) -> Target:
        """The same with a graph that computes in these, "fp16" or "fp32".

        Raises:
            UsageError: it has no such graph.
        """
        usual, *others = self._activations or ("",)
        if activations == usual:
            return replace(self, activations="")
        if activations in others:
            return replace(self, activations=activations)
        raise UsageError(
            f"no graph for the {self.name} with {self.runtime} has activations in {activations}",
            f"choose {' or '.join(filter(None, (usual, *others)))}"
            if usual
            else "leave them out: OpenVINO chooses them when it loads a model",
        )

    def fitting(self, precisions: Collection[str]) -> Target:
        """The same with the first of its graphs that a device of these number formats computes."""
        able = [one for one in self._activations if one in precisions]
        return self.computing_in(able[0]) if able else self

    @property
    def _activations(self) -> tuple[str, ...]:
        form = GRAPH_FORMS.get(self.name) if self.runtime == "onnx" else None
        return form.activations if form else ()

    @property
    def flags(self) -> str:
        """What `aipc convert` takes for it."""
        return f"--for {self.name}" + (
            f" --activations {self.activations}" * bool(self.activations)
        )

    def sized(self, parameters: int) -> Target:
        """The same with the default recipe for a network of so many parameters."""
        return replace(self, recipe=self.small) if parameters < SMALL_PARAMETERS else self

    @property
    def is_strict(self) -> bool:
        """Whether it can't run every recipe."""
        return bool(self.groups or self.sym or self.ratios)

    def misfit(self, recipe: Recipe) -> str:
        """Why this target can't run ``recipe``; empty when it can."""
        if recipe.weight_format == "fp16":
            return ""
        if self.sym and recipe.sym not in self.sym:
            return "its weights are asymmetric"
        return self._misfit_of_groups(recipe) if recipe.weight_format == "int4" else ""

    def _misfit_of_groups(self, recipe: Recipe) -> str:
        if self.ratios and recipe.ratio not in self.ratios:
            return f"its ratio is {recipe.ratio:g}"
        if self.groups and recipe.group_size not in self.groups:
            return f"its group size is {recipe.group_size}"
        if recipe.embedding == "int4" and self.groups and EMBEDDING_GROUP not in self.groups:
            return f"its embedding is in groups of {EMBEDDING_GROUP}"
        return ""


def find_target(name: str, runtime: str = "auto") -> Target:
    """The target of that name and runtime; "auto" is the first runtime that has it.

    Raises:
        UsageError: there is none.
    """
    runtimes = list(dict.fromkeys(target.runtime for target in ALL))
    if runtime not in {"auto", *runtimes}:
        raise UsageError(f"unknown runtime '{runtime}'", f"choose one of {', '.join(runtimes)}")
    named = [target for target in ALL if target.name == name]
    if not named:
        names = dict.fromkeys(target.name for target in ALL)
        raise UsageError(f"unknown target '{name}'", f"choose one of {', '.join(names)}")
    fitting = [target for target in named if runtime in {"auto", target.runtime}]
    if not fitting:
        own = [target.name for target in ALL if target.runtime == runtime]
        raise UsageError(
            f"the runtime {runtime} has no target '{name}'",
            f"choose one of {', '.join(own)}, or --runtime {named[0].runtime}",
        )
    return fitting[0]


def check_recipe(target: Target, recipe: Recipe) -> None:
    """Refuse a recipe that the target can't run.

    Raises:
        UsageError: why, and the recipe that its vendor documents.
    """
    misfit = target.misfit(recipe)
    if misfit:
        raise UsageError(
            f"the {target.name} can't run this recipe: {misfit}", f"give {target.recipe.flags}"
        )


def _target(entry: dict[str, Any]) -> Target:
    values = {name: tuple(entry[name]) for name in ("groups", "sym", "ratios")}
    recipes = {name: Recipe(**entry[name]) for name in ("recipe", "small")}
    return Target(**(entry | values | recipes))


_TABLE = read_table(__package__, "targets.toml")
SMALL_PARAMETERS: int = _TABLE["small_parameters"]
ALL = tuple(_target(entry) for entry in _TABLE["target"])
"""In the file's order: the first of a name is that of the name alone."""
TARGETS: Mapping[str, Target] = {target.name: target for target in reversed(ALL)}
"""By name alone."""
