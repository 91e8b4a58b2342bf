"""One batch of a server, from the check of its requests to its results."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aipc.batch.answers import LineAnswer, TokenUse, failed_answer
from aipc.batch.asking import answer_line
from aipc.batch.driver import drive
from aipc.batch.input.line_index import LineEntry
from aipc.batch.input.lines import CheckedInput
from aipc.batch.output import claimed, errors_path, partial_path
from aipc.batch.partial import GROUP_S, PartialFile
from aipc.batch.run_key import RunKey
from aipc.batch.work import BatchWork, in_order
from aipc.errors import AipcError, BatchError
from aipc.pool.failures import ModelUnknown
from aipc.serve.batches.file_store import FileStore, new_record
from aipc.serve.batches.record import BatchFolder, BatchRecord, RequestFault
from aipc.serve.batches.requests import Refused, check_requests
from aipc.wire.errors import http_error
from aipc.wire.schemas import new_id

if TYPE_CHECKING:
    from aipc.pool.pool import Pool

_AGAIN_S = 60.0  # after which a batch is tried again that the disk has held up
_EXPIRED = "the batch's completion window was over before this request was answered"
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Turns:
    """Whose turn it is: batches are checked one by one, and each model answers one at a time."""

    def __init__(self) -> None:
        self.checking = asyncio.Lock()
        self.answering: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


class BatchRun:
    """``record`` tells how far it is."""

    def __init__(
        self, record: BatchRecord, pool: Pool, files: FileStore, folder: BatchFolder, turns: Turns
    ) -> None:
        self.record = record
        self._pool = pool
        self._files = files
        self._folder = folder
        self._turns = turns
        self._cancelled = asyncio.Event()
        self._changing = asyncio.Lock()
        self._answered = self._failed = 0
        if record.status == "cancelling":
            self._cancelled.set()

    @property
    def counted(self) -> BatchRecord:
        """The record with the answers so far."""
        if self.record.usage is not None:
            return self.record
        completed = self._answered - self._failed
        return replace(self.record, completed=completed, failed=self._failed)

    async def run(self) -> None:
        """Until it has ended; cancelled, it leaves all that it takes to go on later."""
        try:
            with claimed(self._folder.output(self.record.id)):
                while not self.record.has_ended:
                    await self._try()
        except BatchError as error:
            _log.warning("%s is left to others: %s", self.record.id, error.what)

    async def cancel(self) -> None:
        """Ask no more, and write what was answered.

        Raises:
            OSError: the disk's; it ends all the same.
        """
        self._cancelled.set()
        await self._change(lambda now: now if now.outcome or now.has_ended else _cancelling(now))

    async def _try(self) -> None:
        try:
            await self._go_on()
        except Refused as refused:
            await self._fail(refused.faults)
        except (AipcError, OSError) as error:  # mostly a full disk, which may be mended
            _log.warning("%s is held up: %s", self.record.id, error)
            if time.time() > self.record.expires:
                message = "the server could not keep its answers; its log says why"
                await self._fail([RequestFault("storage_failed", message)])
        except Exception as error:  # noqa: BLE001 - who waits for the batch is to know its end
            await self._fail([RequestFault("server_error", http_error(error).message)])
        if not self.record.has_ended:
            await asyncio.sleep(_AGAIN_S)

    async def _fail(self, faults: Sequence[RequestFault]) -> None:
        """The disk may refuse even that; then all is tried again."""
        with suppress(OSError):
            await self._change(lambda now: replace(now.at("failed"), errors=tuple(faults)))

    async def _go_on(self) -> None:
        if self.record.usage is None:
            async with self._turns.checking:
                checked = await self._check()
                has_outcome = bool(self.record.outcome)
                answering = None if has_outcome else asyncio.ensure_future(self._answer(checked))
            if answering is not None:
                outcome = await self._outcome(answering)
                await self._change(lambda now: _finalizing(now, outcome))
            await _in_thread(self._collect, checked)
        await _in_thread(self._hand_over)

    async def _check(self) -> CheckedInput:
        path = self._folder.input(self.record.id)
        checked, model = await asyncio.to_thread(check_requests, path, self.record.endpoint)
        if self.record.model is None:
            name = await self._name_of(model)
            await self._change(lambda now: _in_progress(now, name, len(checked.entries)))
        return checked

    async def _name_of(self, model: str) -> str:
        try:
            return (await self._pool.card(model)).name
        except ModelUnknown as error:
            fault = RequestFault("model_not_found", str(error), param="model")
            raise Refused(fault) from error

    async def _outcome(self, answering: asyncio.Future[None]) -> str:
        """How it ends: "completed", "cancelled" or "expired"; then nothing is answered any more."""
        stopping = asyncio.ensure_future(self._cancelled.wait())
        both: set[asyncio.Future[Any]] = {answering, stopping}
        try:
            left_s = max(self.record.expires - time.time(), 0.0)
            await asyncio.wait(both, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
                return "completed"
            return "cancelled" if stopping.done() else "expired"
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _answer(self, checked: CheckedInput) -> None:
        """Once it is its turn: all that has no answer yet."""
        async with self._turns.answering[self.record.model or ""]:
            opened = ExitStack()
            try:
                kept = await _in_thread(self._open, checked, opened)
                self._answered, self._failed = kept.counts
                order = in_order(checked.entries, kept.left())
                keep = partial(self._keep, kept)
                work = BatchWork(checked.entries, order, keep=keep)
                ask = partial(self._ask, checked)
                driving = asyncio.ensure_future(drive(work, ask, self._pool.answers_at_once))
                await _synced(kept, driving)
            finally:
                await _in_thread(opened.close)

    async def _ask(self, checked: CheckedInput, entry: LineEntry) -> LineAnswer:
        return await answer_line(self._pool, checked.read(entry), is_background=True)

    def _keep(self, kept: PartialFile, answer: LineAnswer) -> None:
        if kept.append(answer, syncs=False):
            self._answered += 1
            self._failed += answer.is_failed

    def _open(self, checked: CheckedInput, opened: ExitStack) -> PartialFile:
        """The answers so far; ``opened`` closes the file, whoever still waits for it."""
        key = RunKey(checked.sha256)
        kept = PartialFile(self._folder.output(self.record.id), key, checked.entries)
        return opened.enter_context(closing(kept))

    def _collect(self, checked: CheckedInput) -> None:
        """Write the answers to two files, and keep what they come to."""
        out = self._folder.output(self.record.id)
        if partial_path(out).exists() or not out.exists():
            with ExitStack() as opened:
                kept = self._open(checked, opened)
                if self.record.outcome == "expired":
                    for at in kept.left():
                        entry = checked.entries[int(at)]
                        kept.append(failed_answer(entry.custom_id, "batch_expired", _EXPIRED))
                kept.finish(ordered=True)
        completed, use = _sum(out)
        failed, _ = _sum(errors_path(out))
        self._save(
            replace(
                self.record,
                completed=completed,
                failed=failed,
                output_file_id=new_id("file") if completed else None,
                error_file_id=new_id("file") if failed else None,
                usage=use,
            )
        )

    def _hand_over(self) -> None:
        """Move the results to the files; those that were moved before a crash are there."""
        out, record = self._folder.output(self.record.id), self.record
        for path, file_id, kind in (
            (out, record.output_file_id, "output"),
            (errors_path(out), record.error_file_id, "error"),
        ):
            if file_id and path.exists():
                name = f"{record.id}_{kind}.jsonl"
                nbytes, lasts_s = path.stat().st_size, record.output_lasts_s
                new = new_record(record.owner, name, "batch_output", nbytes, lasts_s)
                self._files.put(path, replace(new, id=file_id))
        self._save(record.at(record.outcome))

    async def _change(self, change: Callable[[BatchRecord], BatchRecord]) -> None:
        """Change the record; once it has an outcome that is for `_collect` and `_hand_over`."""
        async with self._changing:
            new = change(self.record)
            if new is not self.record:
                await _in_thread(self._save, new)

    def _save(self, record: BatchRecord) -> None:
        """What is not on the disk did not happen."""
        self._folder.save(record)
        self.record = record


def _sum(path: Path) -> tuple[int, TokenUse]:
    """How many answers a file has, if it is there, and what they took."""
    count, use = 0, TokenUse()
    if path.exists():
        with path.open("rb") as file:
            for line in file:
                count += 1
                use += LineAnswer.from_line(line).use
    return count, use


def _in_progress(record: BatchRecord, model: str, total: int) -> BatchRecord:
    begun = record if record.status == "cancelling" else record.at("in_progress")
    return replace(begun, model=model, total=total)


def _cancelling(record: BatchRecord) -> BatchRecord:
    return record if record.status == "cancelling" else record.at("cancelling")


def _finalizing(record: BatchRecord, outcome: str) -> BatchRecord:
    status = record if record.status == "cancelling" else record.at("finalizing")
    return replace(status, outcome=outcome)


async def _synced(kept: PartialFile, driving: asyncio.Future[None]) -> None:
    """Bring answers to the disk until all are there: beside the event loop, which serves others."""
    try:
        while not (await asyncio.wait({driving}, timeout=GROUP_S))[0]:
            await _in_thread(kept.sync)
    finally:
        driving.cancel()
        await _until_done(driving)
    driving.result()


async def _in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """As `asyncio.to_thread`, but cancelled it ends after the thread: no two have the files."""
    thread = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    await _until_done(thread)
    return thread.result()


async def _until_done(task: asyncio.Future[Any]) -> None:
    """Wait for it, however often this is cancelled meanwhile."""
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await _until_done(task)
        raise
