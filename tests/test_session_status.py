from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from held_files import SHARED, Held

from aipc import session_status
from aipc.session_status import StatusPublisher, read_statuses


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes only when it is told to."""

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(session_status.time, "monotonic", clock.monotonic)
    return clock


@pytest.fixture
def publication(tmp_path, clock):
    return StatusPublisher(tmp_path / "running", "tiny", "fake", "CPU")


def only(tmp_path: Path):
    (one,) = read_statuses(tmp_path / "running")
    return one


def test_a_session_is_told_from_its_start_to_its_end(tmp_path, publication) -> None:
    told = only(tmp_path)
    assert (told.model, told.runtime, told.device, told.answers) == ("tiny", "fake", "CPU", 0)
    assert told.tokens_per_second is None
    publication.close()
    publication.close()
    assert read_statuses(tmp_path / "running") == ()
    assert list((tmp_path / "running").iterdir()) == []


def test_the_speed_is_of_the_time_spent_generating(tmp_path, publication, clock) -> None:
    clock.now += 60  # idle
    publication.begin()
    for _ in range(20):
        clock.now += 0.1
        publication.note()
    assert only(tmp_path).tokens_per_second == pytest.approx(10)
    assert only(tmp_path).answers == 1
    publication.end()
    told = only(tmp_path)
    assert (told.tokens, told.answers) == (20, 0)
    assert told.tokens_per_second is not None
    publication.begin()
    assert only(tmp_path).tokens_per_second is None


def test_it_is_written_at_most_once_a_second(tmp_path, publication, clock, monkeypatch) -> None:
    publication.begin()
    writes = []
    monkeypatch.setattr(publication, "_write", lambda: writes.append(clock.now))
    for _ in range(50):
        clock.now += 0.01
        publication.note()
    assert writes == []


def test_several_sessions_and_threads(tmp_path, publication) -> None:
    other = StatusPublisher(tmp_path / "running", "other", "fake", "NPU")
    threads = [threading.Thread(target=lambda: [other.note() for _ in range(500)]) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.begin()
    told = {one.model: one.tokens for one in read_statuses(tmp_path / "running")}
    assert told == {"tiny": 0, "other": 1000}


def test_what_a_killed_process_left_is_not_told_and_removed(tmp_path) -> None:
    program = (
        "import pathlib, sys, time; from aipc.session_status import StatusPublisher\n"
        "kept = StatusPublisher(pathlib.Path(sys.argv[1]), 'tiny', 'fake', 'CPU')\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        assert [one.pid for one in read_statuses(tmp_path)] == [child.pid]
        child.kill()
    assert read_statuses(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
def test_a_new_process_of_the_same_number_is_another(tmp_path, publication) -> None:
    file = next((tmp_path / "running").glob("*.json"))
    told = dataclasses.asdict(only(tmp_path)) | {"process_started": "1"}
    file.write_text(json.dumps(told))
    assert read_statuses(tmp_path / "running") == ()


def test_another_machines_sessions_are_left_alone(tmp_path, publication) -> None:
    file = next((tmp_path / "running").glob("*.json"))
    file.write_text(json.dumps(dataclasses.asdict(only(tmp_path)) | {"host": "elsewhere"}))
    assert read_statuses(tmp_path / "running") == ()
    assert file.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "\x00"])
def test_files_of_others_are_passed_over(tmp_path, content) -> None:
    (tmp_path / "1-0.json").write_text(content)
    assert read_statuses(tmp_path) == ()
    assert read_statuses(tmp_path / "none") == ()


def test_a_folder_that_can_not_be_written_ends_the_display_only(tmp_path) -> None:
    (tmp_path / "running").write_text("a file in its place")
    publication = StatusPublisher(tmp_path / "running", "tiny", "fake", "CPU")
    publication.begin()
    publication.note()
    publication.end()
    publication.close()


def test_noting_a_token_costs_next_to_nothing(tmp_path) -> None:
    publication = StatusPublisher(tmp_path, "tiny", "fake", "CPU")
    started = time.perf_counter()
    for _ in range(1000):
        publication.note()
    assert time.perf_counter() - started < 0.2


def test_a_reader_that_has_the_file_open_does_not_end_the_display(
    tmp_path, publication, monkeypatch
) -> None:
    """On Windows its file can't be replaced in that moment."""
    monkeypatch.setattr(Path, "replace", Held(Path.replace, SHARED, times=1))
    publication.begin()
    assert only(tmp_path).answers == 1
    publication.end()
    assert only(tmp_path).answers == 0
