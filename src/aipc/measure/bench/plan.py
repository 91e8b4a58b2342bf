"""What a benchmark is to measure, as the user chooses it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from aipc.convert.recipe import Recipe
from aipc.errors import UsageError
from aipc.measure.bench.options import BenchOptions
from aipc.measure.bench.result import Workload
from aipc.measure.peers.peers import PeerSpec
from aipc.session.place import SessionOptions


@dataclass(frozen=True)
class BenchPlan:
    """A model as a session would load it, the peers beside it, and the lengths in tokens."""

    model: str | None = None
    wanted: SessionOptions = field(default_factory=SessionOptions)
    recipe: Recipe | None = None
    prompts: tuple[int, ...] = (32, 256)
    outputs: tuple[int, ...] = (64,)
    batches: tuple[int, ...] = (1,)
    text: str | None = None
    """What prompts are cut from; None draws token ids."""
    peers: tuple[PeerSpec, ...] = ()
    pythons: Mapping[str, str] = field(default_factory=dict)
    """Peer → an interpreter that has its packages, instead of its own environment's."""
    options: BenchOptions = field(default_factory=BenchOptions)

    def __post_init__(self) -> None:
        for flag, values in (
            ("--prompt", self.prompts),
            ("--tokens", self.outputs),
            ("--batch", self.batches),
        ):
            if not values or min(values) < 1:
                raise UsageError(f"{flag} takes numbers from 1 up, not {values}")
        if min(self.outputs) < 2:
            raise UsageError("--tokens 1 has no time from token to token", "take 2 or more")
        names = [entry.name for entry in self.peers]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"--peer names {twice} twice", "name it once")

    @property
    def workload(self) -> Workload:
        """What every participant is given."""
        text = None if self.text is None else hashlib.sha256(self.text.encode()).hexdigest()
        counts = self.options.repeats, self.options.seed
        return Workload(self.prompts, self.outputs, self.batches, *counts, text)
