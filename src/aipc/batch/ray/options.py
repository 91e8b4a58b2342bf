"""How a batch is spread over a Ray cluster, as a user asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.errors import UsageError
from aipc.options import check, option

HERE = "here"
"""The address that stands for Ray started on this machine."""


@dataclass(frozen=True)
class ClusterOptions:
    min_actors: int | None = option(
        None, "devices that answer from the start", minimum=1, default_words="all there are"
    )
    max_actors: int | None = option(
        None,
        "devices that answer at most, for a cluster that grows",
        minimum=1,
        default_words="all there are at the start",
    )
    actor_retries: int = option(
        8, "times that lines are asked again whose actor or node has died", minimum=0
    )
    shards: str | None = option(
        None,
        "folder that all nodes share, or a URL that fsspec opens, for the answers of each",
        default_words="OUT.shards",
    )
    model_from: str | None = option(
        None, "mirror or shared folder that nodes copy the model from, as `aipc pull --from`"
    )

    def __post_init__(self) -> None:
        check(self)
        if self.min_actors and self.max_actors and self.min_actors > self.max_actors:
            what = f"--min-actors {self.min_actors} is more than --max-actors {self.max_actors}"
            raise UsageError(what, "give a larger or no --max-actors")
