"""A batch's lines answered on this machine.

Models answer in worker processes, as a server's do: one that dies costs its lines another try.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aipc.artifact import manifest
from aipc.batch.answers import LineAnswer
from aipc.batch.asking import answer_line
from aipc.batch.driver import drive
from aipc.batch.input.line_index import LineEntry
from aipc.batch.input.lines import CheckedInput
from aipc.batch.models import BatchModels
from aipc.batch.work import BatchWork, Counts, stopping
from aipc.models.blobs import fingerprint
from aipc.pool.options import PoolOptions
from aipc.pool.pool import Pool
from aipc.pool.status import ModelStatus
from aipc.progress import Notify

_WATCH_S = 0.5
ShowCounts = Callable[[Counts], None]
"""Told how far the batch is, twice a second."""


class LocalBatch:
    """The part of one batch that is computed; made, used and closed on one event loop.

    Args:
        lines: the input.
        models: what answers it.
        loading: the arguments of `Pool` for each model, its device among them.
        in_flight: lines under way at once.
        loader: as `Pool` has it.
        notify: called with one line for each thing that a user should know.
        show_counts: called with how far it is.
    """

    def __init__(
        self,
        lines: CheckedInput,
        models: BatchModels,
        loading: Mapping[str, Any],
        in_flight: int,
        loader: str,
        notify: Notify,
        show_counts: ShowCounts,
    ) -> None:
        self._lines = lines
        self._models = models
        self._in_flight = in_flight
        self._notify = notify
        self._show_counts = show_counts
        loading = dict(loading)
        self._pool = Pool(
            models.registry,
            PoolOptions(max_running=in_flight, max_waiting=in_flight),
            device=loading.pop("device", "auto"),
            loading=loading,
            loader=loader,
        )

    async def aclose(self) -> None:
        await self._pool.close()

    async def load(self) -> Mapping[str, str]:
        """Load each model once, before any line is asked; the hashes of their artifacts.

        Raises:
            AipcError: as `Pool.load`.
        """
        pool = self._pool
        artifacts = {}
        for card in self._models.cards.values():
            loading = asyncio.ensure_future(pool.load(card.name))
            doing = ""
            while not (await asyncio.wait({loading}, timeout=_WATCH_S))[0]:
                before, doing = doing, _doing(pool)
                if doing != before:
                    self._notify(f"{card.name}: {doing}")
            status = await loading
            for notice in status.notices:
                self._notify(notice)
            artifacts[card.name] = await asyncio.to_thread(_artifact_hash, status)
        return artifacts

    async def answer(self, work: BatchWork, *, heeds_signals: bool = False) -> int | None:
        """Ask the lines of ``work``; the signal that stopped it, if one did.

        Raises:
            AipcError: as `drive`.
        """
        driving = asyncio.ensure_future(drive(work, self._ask, self._in_flight))
        with stopping(work, heeds_signals=heeds_signals) as stopped:
            try:
                while not (await asyncio.wait({driving}, timeout=_WATCH_S))[0] and not stopped:
                    self._show_counts(work.counts)
            finally:
                driving.cancel()
                await asyncio.wait({driving})
        self._show_counts(work.counts)
        if not (driving.cancelled() and stopped):
            driving.result()
        return stopped[0] if stopped else None

    async def _ask(self, entry: LineEntry) -> LineAnswer:
        line = self._lines.read(entry)
        return await answer_line(self._pool, line, self._models.cards[line.model].name)


def _doing(pool: Pool) -> str:
    """The step of loading that is under way."""
    steps = [one.doing.partition(",")[0] for one in pool.statuses() if one.doing]
    return steps[0] if steps else "loading"


def _artifact_hash(status: ModelStatus) -> str:
    """Of a model that is loaded; empty for one without files."""
    facts = status.ready.facts if status.ready else {}
    if not facts.get("artifact"):
        return ""
    folder = Path(facts["artifact"])
    made = manifest.find(folder)
    if made is not None:
        return made.contents
    return fingerprint(
        folder, tuple(sorted(file.name for file in folder.iterdir() if file.is_file()))
    )
