"""The batches of a server: made, gone on with after a restart, listed and cancelled."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from aipc.serve.batches.file_store import FileStore, storing
from aipc.serve.batches.record import BatchFolder, BatchRecord
from aipc.serve.batches.run import BatchRun, Turns
from aipc.wire.errors import BUSY, HTTPError

if TYPE_CHECKING:
    from aipc.pool.pool import Pool

MAX_UNFINISHED = 50
"""Batches at a time: each keeps its input."""


class BatchKeeper:
    """Used and closed on one event loop."""

    def __init__(self, pool: Pool, files: FileStore, folder: Path) -> None:
        self._pool = pool
        self.files = files
        """Those that batches are made of, and their results."""
        self._folder = BatchFolder(folder)
        self._runs: dict[str, BatchRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turns = Turns()

    @property
    def is_busy(self) -> bool:
        """Whether a batch is unfinished here."""
        return bool(self._tasks)

    async def resume(self) -> None:
        """Go on with what a server before this one has left unfinished."""
        await asyncio.to_thread(self.files.tidy)
        await asyncio.to_thread(self._folder.tidy)
        for record in await asyncio.to_thread(self._folder.all):
            if not record.has_ended:
                self._start(record)

    async def close(self) -> None:
        """Stop, so that the next server goes on with what is unfinished."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def create(self, record: BatchRecord, content: Path) -> BatchRecord:
        """Begin a batch of the requests in a file, whose content it keeps for itself.

        Raises:
            HTTPError: 429, too many are unfinished.
            StorageFull: the disk's.
        """
        if len(self._tasks) >= MAX_UNFINISHED:
            message = f"{MAX_UNFINISHED} batches are unfinished; wait for one, or cancel one"
            headers = {"Retry-After": "60"}
            raise HTTPError(429, message, kind=BUSY, code="server_busy", headers=headers)
        with storing():
            await asyncio.to_thread(self._folder.create, record, content)
        self._start(record)
        return record

    async def find(self, owner: str, batch_id: str) -> BatchRecord | None:
        """None where there is none, or it is another's."""
        record = await asyncio.to_thread(self._folder.find, batch_id)
        return self._newest(record) if record is not None and record.owner == owner else None

    async def list(self, owner: str) -> list[BatchRecord]:
        """All of an owner's, the newest first."""
        records = await asyncio.to_thread(self._folder.all)
        return [self._newest(one) for one in records[::-1] if one.owner == owner]

    async def cancel(self, batch_id: str) -> BatchRecord:
        """End an unfinished batch: what was answered is kept.

        Raises:
            HTTPError: 409, another server runs it.
            StorageFull: the disk's.
        """
        run = self._runs.get(batch_id)
        if run is None:
            message = "another server of this user runs it: cancel it there"
            raise HTTPError(409, message, code="not_here")
        with storing():
            await run.cancel()
        return run.counted

    def _start(self, record: BatchRecord) -> None:
        run = BatchRun(record, self._pool, self.files, self._folder, self._turns)
        task = asyncio.create_task(run.run())
        self._runs[record.id], self._tasks[record.id] = run, task
        task.add_done_callback(lambda _: self._forget(record.id))

    def _forget(self, batch_id: str) -> None:
        del self._runs[batch_id], self._tasks[batch_id]

    def _newest(self, record: BatchRecord) -> BatchRecord:
        """With what this server knows of it, where it runs here."""
        run = self._runs.get(record.id)
        return record if run is None else run.counted
