"""Everything about a session that can be chosen: runtime, device, properties, weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aipc.convert.recipe import Recipe
from aipc.devices import kind_of


@dataclass(frozen=True)
class Setup:
    """``recipe`` is None for an artifact of the user's own, whose weights are as they are."""

    runtime: str
    device: str
    """As the vendor names it: "CPU", "GPU.0"."""
    recipe: Recipe | None
    properties: Mapping[str, str] = field(default_factory=dict)
    """All that are set; any other is the vendor's default."""

    @property
    def kind(self) -> str:
        return kind_of(self.device)

    @property
    def weights(self) -> str:
        """Names the artifact among those of one model."""
        return self.recipe.tag if self.recipe else "as they are"

    @property
    def flags(self) -> str:
        """The command line's flags for such a session."""
        flags = [f"--device {self.device.lower()} --runtime {self.runtime}"]
        if self.recipe:
            flags.append(self.recipe.flags)
        spelling = "--ov-config" if self.runtime == "openvino" else "--onnx-config"
        flags += [f"{spelling} {name}={value}" for name, value in self.properties.items()]
        return " ".join(flags)

    @property
    def settings(self) -> str:
        """The properties in one line."""
        settings = ", ".join(f"{name}={value}" for name, value in self.properties.items())
        return settings or "the runtime's own defaults"

    def __str__(self) -> str:
        return f"{self.device.lower()} {self.runtime} {self.weights}, {self.settings}"


@dataclass(frozen=True)
class ProbedChoice:
    """The runtime and device that promise most, as measured, and a reason for each candidate."""

    runtime: str
    device: str
    summary: str
    """In one line for a user."""
    why: tuple[str, ...]
    """Of the one that is taken first."""
