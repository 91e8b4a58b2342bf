"""Faults of every kind over the whole command and the small real model: nothing lost or doubled.

The long form (50 kills) runs with ``pytest -m long tests/batch/test_campaign.py``.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import processes
import pytest
from batch_files import line
from small_disk import small_disk

from aipc.batch.output import errors_path, partial_path

MODEL = "smollm2-135m"
COUNT = 150
END_S = 300
FIGURES = logging.getLogger(__name__)
"""Shown with --log-cli-level=INFO."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")


class Batch:
    """One input and its output; each `start` is a process."""

    def __init__(self, folder, home):
        self.source, self.out = folder / "in.jsonl", folder / "out.jsonl"
        self._environment = os.environ | {"AIPC_HOME": str(home)}

    def write(self, count=COUNT, **changed):
        """``changed`` are ids and what is asked instead."""
        self.wanted = [f"id-{at}" for at in range(count)]
        prompts = {name: f"Count to {at}." for at, name in enumerate(self.wanted)} | changed
        draw = random.Random(count)
        self.source.write_text(
            "".join(
                line(name, prompt, max_tokens=draw.randrange(1, 16), temperature=0)
                for name, prompt in prompts.items()
            )
        )

    def start(self, *arguments):
        command = [sys.executable, "-m", "aipc", "batch", str(self.source), str(self.out)]
        return subprocess.Popen(
            [*command, "-m", MODEL, "--device", "cpu", *arguments],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments):
        process = self.start(*arguments)
        _, told = process.communicate(timeout=END_S)
        return process.returncode, told

    def kept(self):
        """Ids and lines of what is answered so far; a torn last line is none."""
        rows = []
        for path in (partial_path(self.out), self.out, errors_path(self.out)):
            if path.exists():
                content = path.read_bytes()
                whole = content[: content.rfind(b"\n") + 1].splitlines()
                if path == partial_path(self.out):  # a head, and lines behind their checksums
                    whole = [line.partition(b" ")[2] for line in whole[1:]]
                rows += whole
        return {json.loads(row)["custom_id"]: row for row in rows}

    def assert_whole(self, failed=()):
        """Each id is answered once, and each answer is a whole one."""
        answers = [json.loads(row) for row in self.out.read_text("utf-8").splitlines()]
        failures = []
        if errors_path(self.out).exists():
            failures = [json.loads(row) for row in errors_path(self.out).read_text().splitlines()]
        assert Counter(row["custom_id"] for row in answers + failures) == Counter(self.wanted)
        assert [row["custom_id"] for row in failures] == list(failed)
        for row in answers:
            choice = row["response"]["body"]["choices"][0]
            assert choice["finish_reason"] in {"stop", "length"}
            assert choice["message"]["content"]
        assert not partial_path(self.out).exists()


@pytest.fixture
def batch(tmp_path, small_store, smollm_gguf):
    made = Batch(tmp_path, small_store.home)
    made.write()
    return made


def kill(process):
    """With SIGKILL; its workers have to notice by themselves."""
    workers = processes.descendants(process.pid) if process.poll() is None else []
    process.kill()
    process.communicate(timeout=processes.SETTLED_S)
    processes.settle(workers)


def campaign(batch, kills, seed):
    """Kill processes at random moments; what was answered stays, whatever is killed."""
    draw = random.Random(seed)
    begun = time.monotonic()
    status, told = batch.run()
    assert status == 0, told
    whole_s = time.monotonic() - begun
    batch.out.unlink()
    seen = Counter()
    before = {}
    while seen["killed"] < kills:
        process = batch.start()
        time.sleep(draw.uniform(0.05, 0.95) * whole_s)
        seen["killed" if process.poll() is None else "ended by itself"] += 1
        kill(process)
        now = batch.kept()
        assert {name: now.get(name) for name in before} == before
        seen["with new answers"] += len(now) > len(before)
        before = now
        if batch.out.exists() and not partial_path(batch.out).exists():
            batch.assert_whole()
            batch.out.unlink()
            seen["of whole runs"] += 1
            before = {}
    status, told = batch.run()
    assert status == 0, told
    batch.assert_whole()
    FIGURES.info("%d kills, a whole run is %.1f s: %s", kills, whole_s, dict(seen))
    return seen


def test_killed_at_some_moments_it_is_gone_on_with(batch):
    batch.write(40)
    campaign(batch, 2, seed=1)


@pytest.mark.long
def test_killed_at_fifty_moments_no_id_is_lost_and_none_answered_twice(batch):
    batch.write(80)
    assert campaign(batch, 50, seed=2)["with new answers"] > 10


def answering(batch, process, more=1):
    """Wait until so many answers more are kept."""
    wanted = len(batch.kept()) + more
    while len(batch.kept()) < wanted:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.long
def test_a_worker_that_is_killed_costs_no_answer(batch):
    """Twice; at the third time a line that was under way at each has failed."""
    process = batch.start()
    for _ in range(2):
        answering(batch, process, 20)
        for pid in processes.descendants(process.pid):
            os.kill(pid, signal.SIGKILL)
    _, told = process.communicate(timeout=END_S)
    assert process.returncode == 0, told
    batch.assert_whole()


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_how_to_go_on_and_does(batch, number):
    process = batch.start()
    answering(batch, process)
    workers = processes.descendants(process.pid)
    process.send_signal(number)
    _, told = process.communicate(timeout=processes.SETTLED_S)
    assert process.returncode != 0
    processes.settle(workers)
    assert "Traceback" not in told
    assert "the same command goes on" in told
    before = batch.kept()
    assert 0 < len(before) < COUNT
    assert batch.run()[0] == 0
    assert batch.kept().items() >= before.items()
    batch.assert_whole()


@pytest.mark.long
def test_an_input_that_changes_between_runs_is_refused_and_what_was_answered_kept(batch):
    process = batch.start()
    answering(batch, process)
    kill(process)
    before = batch.kept()
    batch.write(**{"id-3": "Something else."})
    status, told = batch.run()
    assert status == 1
    assert "the input has changed" in told
    assert batch.kept() == before
    batch.write()
    assert batch.run()[0] == 0
    batch.assert_whole()


@pytest.mark.long
def test_a_cut_and_a_doubled_line_are_named_before_the_model_is_loaded(batch):
    rows = batch.source.read_text().splitlines(keepends=True)
    batch.source.write_text("".join([*rows[:7], rows[7][:50] + "\n", *rows[8:], rows[4]]))
    status, told = batch.run()
    assert status == 2
    assert "line 8: it is no JSON" in told
    assert f"line {COUNT + 1} ('id-4'): its custom_id is that of line 5 too" in told
    assert sorted(path.name for path in batch.out.parent.iterdir()) == ["in.jsonl"]
    status, told = batch.run("--skip-invalid")
    failures = [json.loads(row) for row in errors_path(batch.out).read_text().splitlines()]
    assert [row["custom_id"] for row in failures] == [None, "id-4"]
    answers = [json.loads(row)["custom_id"] for row in batch.out.read_text().splitlines()]
    assert sorted(answers) == sorted(name for name in batch.wanted if name != "id-7")


@pytest.mark.long
def test_a_second_process_with_the_same_output_is_refused(batch):
    first = batch.start()
    answering(batch, first)
    status, told = batch.run()
    assert status == 1
    assert "another process writes" in told
    assert first.communicate(timeout=END_S)
    assert first.returncode == 0
    batch.assert_whole()
    status, told = batch.run()
    assert status == 1
    assert "exists already" in told


@pytest.mark.long
def test_a_full_disk_is_told_and_with_room_it_is_gone_on_with(batch, tmp_path):
    with small_disk(tmp_path / "disk", 48 * 1024) as disk:
        if disk is None:
            pytest.skip("mounting is not permitted here")
        batch.out = disk.folder / "out.jsonl"
        status, told = batch.run()
        assert status == 1
        assert "No space left on device" in told
        assert "Traceback" not in told
        before = batch.kept()
        assert len(before) > 20
        assert batch.run()[0] == 1
        assert batch.kept() == before
        disk.resize(8 * 2**20)
        assert batch.run()[0] == 0
        assert batch.kept().items() >= before.items()
        batch.assert_whole()
