"""The limits of memory, queues and time in a `Pool`."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.options import check, option


@dataclass(frozen=True)
class PoolOptions:
    memory_budget: float | None = option(
        None, "memory for all loaded models, in GB; without it 70% of the machine's", minimum=0.1
    )
    max_running: int = option(
        64, "answers at once from one model, where its device allows several", minimum=1
    )
    max_beside: int = option(
        2, "answers of batches at once from a model that answers others too", minimum=0
    )
    max_waiting: int = option(
        128, "requests that may wait for one model; more get status 429", minimum=0
    )
    load_timeout_s: float = option(
        3600.0, "seconds to fetch, convert, compile and load a model", minimum=1.0
    )
    stuck_s: float = option(
        900.0,
        "seconds without a token after which an answer is ended, and its worker if that is deaf; "
        "as many again for each 1,000 tokens of a prompt",
        minimum=1.0,
    )
    idle_s: float | None = option(
        None, "seconds after which an unused model is unloaded; without it never", minimum=0.0
    )

    def __post_init__(self) -> None:
        check(self)
