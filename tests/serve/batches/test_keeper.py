"""Batches over real workers with a fake session, and what goes wrong on the disk."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
import time
from contextlib import suppress

import pytest
from batches_of import CHAT, jsonl, line

from aipc.batch import partial
from aipc.batch.output import partial_path
from aipc.batch.partial import PartialFile
from aipc.errors import BatchError
from aipc.serve.batches import run as run_module
from aipc.serve.batches.file_store import FileStore, StorageFull, new_record
from aipc.serve.batches.keeper import MAX_UNFINISHED, BatchKeeper
from aipc.serve.batches.record import BatchRecord
from aipc.wire.errors import HTTPError
from aipc.wire.schemas import new_id


@pytest.fixture
def files(tmp_path):
    return FileStore(tmp_path / "files", 10**9)


@pytest.fixture
def upload(files):
    def uploaded(*lines):
        content = jsonl(lines)
        with files.begin(len(content)) as draft:
            draft.write(content)
            record = new_record("me", "in.jsonl", "batch", draft.nbytes, None)
            return files.keep(draft, record)

    return uploaded


@pytest.fixture
def keeper_of(tmp_path, files):
    return lambda pool: BatchKeeper(pool, files, tmp_path / "batches")


def batch_of(file, lasts_s=3600.0):
    now = time.time()
    return BatchRecord(
        id=new_id("batch", "_"),
        owner="me",
        endpoint=CHAT,
        input_file_id=file.id,
        completion_window="1h",
        created=now,
        expires=now + lasts_s,
    )


async def until(condition):
    """Wait for what other tasks and processes bring about; ``condition`` may be awaited."""
    deadline = time.monotonic() + 30.0
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.02)


async def ended(keeper, batch):
    async def record():
        now = await keeper.find("me", batch.id)
        return now if now.has_ended else None

    return await until(record)


def answers_of(files, file_id):
    path = files.content(files.find("me", file_id))
    return [json.loads(one) for one in path.read_text("utf-8").splitlines()]


def run_one(run_async, fake_pool, keeper_of, files, batch, content, during=None):
    """The batch's end, and its output's ids."""

    async def go():
        async with fake_pool() as pool:
            keeper = keeper_of(pool)
            await keeper.create(batch, content)
            if during is not None:
                await during(pool, keeper)
            done = await ended(keeper, batch)
            await keeper.close()
            return done

    return run_async(go())


def test_it_expires_with_what_was_answered(run_async, fake_pool, keeper_of, files, upload):
    file = upload(line("short"), line("long", "count 9999 every 0.1"))
    batch = batch_of(file, lasts_s=3.0)
    done = run_one(run_async, fake_pool, keeper_of, files, batch, files.content(file))
    assert (done.status, done.completed, done.failed) == ("expired", 1, 1)
    assert [one["custom_id"] for one in answers_of(files, done.output_file_id)] == ["short"]
    (late,) = answers_of(files, done.error_file_id)
    assert (late["custom_id"], late["error"]["code"]) == ("long", "batch_expired")


@pytest.mark.parametrize("where", ["answers", "record", "results"])
def test_a_full_disk_is_waited_out(
    run_async, fake_pool, keeper_of, files, upload, monkeypatch, where
):
    """Each time the third write fails, and the second one of the results."""
    monkeypatch.setattr(run_module, "_AGAIN_S", 0.05)
    calls = []
    owner, name, error = {
        "answers": (PartialFile, "append", BatchError("no room", "make some")),
        "record": (run_module.BatchFolder, "save", OSError(28, "No space left on device")),
        "results": (FileStore, "put", StorageFull("no room", "make some")),
    }[where]
    original = getattr(owner, name)

    def failing(*arguments, **named):
        calls.append(arguments)
        if len(calls) in (2, 3):
            raise error
        return original(*arguments, **named)

    file = upload(*(line(f"id-{n}", f"answer {n}") for n in range(20)), line("bad", "refuse"))
    monkeypatch.setattr(owner, name, failing)
    done = run_one(run_async, fake_pool, keeper_of, files, batch_of(file), files.content(file))
    assert len(calls) > 3
    assert (done.status, done.completed, done.failed, done.total) == ("completed", 20, 1, 21)
    answers = answers_of(files, done.output_file_id)
    assert [one["custom_id"] for one in answers] == [f"id-{n}" for n in range(20)]
    assert [one["custom_id"] for one in answers_of(files, done.error_file_id)] == ["bad"]


class Killed(BaseException):
    """As a signal would have ended the process here."""


def test_killed_at_any_step_of_its_end_it_has_each_answer_once(
    run_async, fake_pool, keeper_of, files, upload, monkeypatch
):
    steps = [(run_module.BatchFolder, "save"), (FileStore, "put"), (PartialFile, "finish")]
    left = [0]

    def one_less():
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    def stepping(original):
        def step(*arguments, **named):
            one_less()
            result = original(*arguments, **named)
            one_less()
            return result

        return step

    for owner, name in steps:
        monkeypatch.setattr(owner, name, stepping(getattr(owner, name)))

    async def killed_at(pool, number):
        file = upload(line("a"), line("b"), line("bad", "refuse"))
        batch, keeper = batch_of(file), keeper_of(pool)
        left[0] = -1
        keeper._folder.create(batch, files.content(file))
        left[0] = number
        await keeper.resume()
        with suppress(Killed):
            await keeper._tasks[batch.id]
        was_killed, left[0] = left[0] <= 0, -1
        again = keeper_of(pool)
        await again.resume()
        done = await ended(again, batch)
        assert (done.status, done.completed, done.failed) == ("completed", 2, 1), number
        assert [one["custom_id"] for one in answers_of(files, done.output_file_id)] == ["a", "b"]
        assert [one["custom_id"] for one in answers_of(files, done.error_file_id)] == ["bad"]
        results = [one for one in files.list("me") if batch.id in one.filename]
        assert len(results) == 2, number
        return was_killed

    async def go():
        async with fake_pool() as pool:
            number = 1
            while await killed_at(pool, number):
                number += 1
            return number

    assert run_async(go(), limit_s=120.0) > 10


def test_what_it_keeps_is_this_users_alone(
    run_async, fake_pool, keeper_of, files, upload, tmp_path
):
    file = upload(line("a", "count 9999 every 0.1"))

    async def look(pool, keeper):
        folder = tmp_path / "batches" / batch.id
        await until((folder / "output.jsonl.partial").exists)
        for path in (tmp_path / "batches", folder):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        for name in ("record.json", "input.jsonl"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        await keeper.cancel(batch.id)

    batch = batch_of(file)
    done = run_one(run_async, fake_pool, keeper_of, files, batch, files.content(file), look)
    assert done.status == "cancelled"
    assert [path.name for path in (tmp_path / "batches" / batch.id).iterdir()] == ["record.json"]


def test_cancelled_while_its_answers_are_opened_it_waits_for_that(
    run_async, fake_pool, keeper_of, files, upload, monkeypatch
):
    steps, kept, gate = [], [], threading.Event()

    def slowly(*arguments):
        steps.append("begins")
        gate.wait(30.0)
        kept.append(PartialFile(*arguments))
        steps.append("is open")
        return kept[-1]

    async def cancel(_, keeper):
        await until(lambda: steps)
        await keeper.cancel(batch.id)
        asyncio.get_running_loop().call_later(0.2, gate.set)

    monkeypatch.setattr(run_module, "PartialFile", slowly)
    file = upload(line("a"))
    batch = batch_of(file)
    done = run_one(run_async, fake_pool, keeper_of, files, batch, files.content(file), cancel)
    assert done.status == "cancelled"
    assert steps == ["begins", "is open"] * 2
    assert all(one._file.closed for one in kept)


def test_a_disk_that_takes_long_holds_up_no_stream_of_others(
    run_async, fake_pool, keeper_of, files, upload, monkeypatch, tmp_path
):
    threads = []
    original = os.fsync

    def noting(number):
        path = partial_path(tmp_path / "batches" / batch.id / "output.jsonl")
        if path.exists() and os.path.samestat(os.fstat(number), path.stat()):
            threads.append(threading.current_thread())
        original(number)

    async def look(_, keeper):
        await until(lambda: threads)  # while the long one runs
        assert threading.current_thread() not in threads
        await keeper.cancel(batch.id)

    file = upload(line("short"), line("long", "count 9999 every 0.1"))
    batch = batch_of(file)
    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(partial, "_GROUP", 1)
    done = run_one(run_async, fake_pool, keeper_of, files, batch, files.content(file), look)
    assert (done.status, done.completed) == ("cancelled", 1)


def test_two_servers_never_run_one_batch(run_async, fake_pool, keeper_of, files, upload):
    file = upload(line("a", "count 9999 every 0.1"))

    async def meet(pool, keeper):
        assert await until(lambda: keeper._runs[batch.id].record.model)
        other = keeper_of(pool)
        await other.resume()
        await until(lambda: not other.is_busy)
        assert (await other.find("me", batch.id)).status == "in_progress"
        with pytest.raises(HTTPError, match="another server"):
            await other.cancel(batch.id)
        await keeper.cancel(batch.id)

    batch = batch_of(file)
    done = run_one(run_async, fake_pool, keeper_of, files, batch, files.content(file), meet)
    assert done.status == "cancelled"


def test_there_is_an_end_to_how_many_may_be_unfinished(
    run_async, fake_pool, keeper_of, files, upload
):
    file = upload(line("a", "count 9999 every 0.1"))

    async def go():
        async with fake_pool() as pool:
            keeper = keeper_of(pool)
            content = files.content(file)
            for _ in range(MAX_UNFINISHED):
                await keeper.create(batch_of(file), content)
            with pytest.raises(HTTPError, match="are unfinished") as caught:
                await keeper.create(batch_of(file), content)
            assert caught.value.status == 429
            await keeper.close()
            assert not keeper.is_busy

    run_async(go())


def test_another_owner_sees_none(run_async, fake_pool, keeper_of, files, upload):
    file = upload(line("a"))

    async def look(pool, keeper):
        assert await keeper.find("you", batch.id) is None
        assert await keeper.list("you") == []
        assert [one.id for one in await keeper.list("me")] == [batch.id]

    batch = batch_of(file)
    run_one(run_async, fake_pool, keeper_of, files, batch, files.content(file), look)


def test_batches_of_long_ago_go_and_what_was_but_begun(
    keeper_of, files, upload, run_async, fake_pool, tmp_path
):
    batch = batch_of(file := upload(line("a")))
    done = run_one(run_async, fake_pool, keeper_of, files, batch, files.content(file))
    folder = keeper_of(None)._folder
    unfinished, begun = batch_of(file), new_id("batch", "_")
    folder.create(unfinished, files.content(file))
    folder.path(begun).mkdir()
    folder.tidy()
    assert [one.id for one in folder.all()] == [done.id, unfinished.id]
    assert folder.path(begun).exists()
    long_ago = time.time() - 31 * 24 * 3600
    for path in (tmp_path / "batches").iterdir():
        os.utime(path, (long_ago, long_ago))
    folder.tidy()
    assert [path.name for path in (tmp_path / "batches").iterdir()] == [unfinished.id]


def test_a_damaged_partial_file_is_told_once_the_time_is_over(
    run_async, fake_pool, keeper_of, files, upload, monkeypatch
):
    monkeypatch.setattr(run_module, "_AGAIN_S", 0.05)
    file = upload(line("a", "count 9999 every 0.1"))
    batch = batch_of(file, lasts_s=0.3)
    keeper = keeper_of(None)
    keeper._folder.create(batch, files.content(file))
    partial_path(keeper._folder.output(batch.id)).write_bytes(b"another kind of file\n")

    async def go():
        async with fake_pool() as pool:
            keeper = keeper_of(pool)
            await keeper.resume()
            return await ended(keeper, batch)

    done = run_async(go())
    assert (done.status, done.errors[0].code) == ("failed", "storage_failed")


def test_an_unforeseen_error_fails_the_batch_without_its_words(
    run_async, fake_pool, keeper_of, files, upload, monkeypatch
):
    def broken(*_):
        raise RuntimeError("the prompt")

    monkeypatch.setattr(run_module, "check_requests", broken)
    file = upload(line("a"))
    done = run_one(run_async, fake_pool, keeper_of, files, batch_of(file), files.content(file))
    assert (done.status, done.errors[0].code) == ("failed", "server_error")
    assert "the prompt" not in done.errors[0].message
