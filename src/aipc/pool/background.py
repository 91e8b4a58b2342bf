"""The answers of batches beside others: few run on a claimed device, and the youngest give way."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aipc.pool.claim import Claim
from aipc.pool.fair_queue import PendingRequest
from aipc.pool.worker_client import WorkerClient


class BackgroundShare:
    """What they may take of a device; ``claims`` gives those of all the models on it."""

    def __init__(self, claims: Callable[[], Iterable[Claim]], max_beside: int) -> None:
        self._claims = claims
        self._max_beside = max_beside

    def most(self, places: int) -> int:
        """How many may run where others leave so many places: few, as each slows those down."""
        is_claimed = any(claim.is_held for claim in self._claims())
        return min(places, self._max_beside) if is_claimed else places


def background_of(worker: WorkerClient | None) -> list[PendingRequest]:
    """Those that run."""
    return [one for one in worker.running.values() if one.is_background] if worker else []


def cut_short(worker: WorkerClient | None, most: int = 0) -> None:
    """Cancel background answers, the youngest first, until there are ``most``.

    The worker ends each at its next token; its slot is free then.
    """
    if worker is None:
        return
    staying = [one for one in background_of(worker) if not one.gives_way]
    for one in sorted(staying, key=lambda one: one.started_at)[most:]:
        one.gives_way = True
        worker.cancel(one)
