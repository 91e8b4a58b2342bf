"""The worker process by itself: how it ends, and what may not disturb it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from queue import SimpleQueue

import fake_session
import pytest

from aipc.child import Outbox, batches
from aipc.generate import Text, Thinking, ToolCall
from aipc.pool.worker.answers import RunningAnswers, joined

PARENT = """
import os, subprocess, sys, time
from aipc.child import Outbox
worker = subprocess.Popen([sys.executable, "-m", "aipc.pool.worker.worker"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
arguments = {"model": sys.argv[1], "device": "cpu", "home": sys.argv[2]}
outbox = Outbox(worker.stdin, "requests")
outbox.put({"arguments": arguments, "loader": "fake_session:load"})
said = b"{}"
while said and b'"ready"' not in said and sys.argv[1] != "endless":
    said = worker.stdout.read1()
print(worker.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def worker(tmp_path):
    """A worker with the fake, its messages to read and its outbox to write to."""
    command = [sys.executable, "-m", "aipc.pool.worker.worker"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    process.outbox = Outbox(process.stdin, "requests")
    arguments = {"model": "fake", "device": "cpu", "home": str(tmp_path)}
    process.outbox.put({"arguments": arguments, "loader": fake_session.LOADER})
    process.messages = (message for batch in batches(process.stdout) for message in batch)
    with process:
        yield process
        process.kill()


def until(worker, key):
    return next(message for message in worker.messages if key in message)


def send(worker, number, text):
    worker.outbox.put({"id": number, "request": {"messages": [{"content": text}], "sampling": {}}})


def has_ended(pid, limit_s):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
            if state.startswith("Z"):
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("model", ["fake", "endless"])
def test_it_does_not_outlive_a_parent_that_is_killed(tmp_path, model):
    command = [sys.executable, "-c", PARENT, model, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        assert not has_ended(pid, 0.1)
        parent.send_signal(signal.SIGKILL)
    assert has_ended(pid, 5.0)


def test_it_tells_what_it_is_before_it_takes_asks(worker):
    assert until(worker, "doing") == {"doing": "loading", "done": 1, "total": 2}
    assert until(worker, "notice") == {"notice": "loading fake"}
    ready = until(worker, "ready")["ready"]
    assert ready["context"] == 4096
    assert ready["concurrent"]
    assert ready["constraints"] == ["json_schema"]


def test_it_tells_its_memory_now_and_then(worker):
    until(worker, "ready")
    assert until(worker, "memory")["memory"] > 1_000_000


def test_what_a_library_prints_does_not_disturb_the_messages(worker):
    until(worker, "ready")
    send(worker, 1, "print")
    assert until(worker, "finished")["id"] == 1
    assert worker.stderr.readline() == b"printed by a library\n"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_signals_to_the_whole_group_leave_it_at_work(worker):
    until(worker, "ready")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        worker.send_signal(number)
    send(worker, 1, "hello")
    assert until(worker, "finished")["id"] == 1


def test_each_answer_ends_once_even_when_it_is_cancelled_twice(worker):
    until(worker, "ready")
    send(worker, 1, "count 1000 every 0.01")
    until(worker, "event")
    for _ in range(2):
        worker.outbox.put({"cancel": 1})
    worker.outbox.put({"cancel": 99})
    send(worker, 2, "hello")
    ends = [until(worker, "finished") for _ in range(2)]
    assert sorted(end["id"] for end in ends) == [1, 2]
    worker.outbox.close()
    assert not [message for message in worker.messages if "id" in message]
    assert worker.wait(5) == 0


def test_the_first_complete_answer_alone_is_followed_by_other_work(tmp_path):
    session = fake_session.FakeSession({"model": "fake", "device": "cpu", "home": str(tmp_path)})
    events, after = SimpleQueue(), SimpleQueue()
    answers = RunningAnswers(session, events, lambda: after.put(None))
    for number, text in enumerate(("fail", "Hi", "Hi")):
        answers.start(number, {"messages": [{"content": text}], "sampling": {}})
        while not {"finished", "failed"} & events.get(timeout=10).keys():
            pass
        if number == 1:
            after.get(timeout=10)
    assert after.empty()


def test_texts_are_joined_but_for_the_first_and_never_across_what_stands_between_them():
    call = ToolCall("call_1", "search", "{}")
    events = [
        Thinking("a", (1,)),
        Text("b", (2,), (-0.1,), (b"b",)),
        Text("", (3,), (-0.2,), (b"c",)),
        call,
        Text("d", (4, 5)),
        Text("e", (6,)),
    ]
    assert [*joined(events, 0.0)] == events
    rare = [*joined([*events, call], 3600.0)]
    assert rare == [
        Thinking("a", (1,)),
        Text("b", (2, 3), (-0.1, -0.2), (b"b", b"c")),
        call,
        Text("de", (4, 5, 6)),
        call,
    ]


def test_an_answer_that_nobody_reads_while_it_is_made_comes_in_few_events(worker):
    until(worker, "ready")
    request = {"messages": [{"content": "count 200"}], "sampling": {}, "whole": True}
    worker.outbox.put({"id": 1, "request": request})
    messages = []
    while not messages or "finished" not in messages[-1]:
        messages += [one for one in [next(worker.messages)] if "id" in one]
    assert messages[0] == {"id": 1, "event": {"begun": 2}}
    texts = [one["event"]["text"] for one in messages[1:-1]]
    assert "".join(texts) == "".join(f"{at} " for at in range(200))
    assert len(texts) == 2
