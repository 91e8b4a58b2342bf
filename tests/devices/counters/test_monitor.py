from __future__ import annotations

import dataclasses
import json
import os
import time

import pytest

from aipc.devices.counters.counter import Reading
from aipc.devices.counters.monitor import Monitor
from aipc.session_status import StatusPublisher


class Steady:
    def __init__(self, reading: Reading | None) -> None:
        self._reading = reading

    def read(self, now: float) -> Reading | None:
        return self._reading


NPU = Reading("npu", "AI Boost", "intel", busy_share=0.25)
OWN = Reading("gpu", "this process, through xe", "intel", busy_share=0.5, memory_used_bytes=7)


@pytest.fixture
def publication(tmp_path):
    return StatusPublisher(tmp_path, "tiny", "openvino", "NPU")


def test_devices_memory_and_sessions_at_one_moment(tmp_path, publication) -> None:
    monitor = Monitor([Steady(NPU), Steady(None)], tmp_path, lambda pid: Steady(OWN))
    snapshot = monitor.snapshot()
    assert snapshot.readings == (NPU,)
    assert snapshot.memory.total > 0
    (one,) = snapshot.sessions
    assert (one.session.pid, one.gpu) == (os.getpid(), OWN)
    told = json.loads(json.dumps(snapshot.facts))
    assert told["devices"][0]["busy_share"] == 0.25
    assert told["devices"][0]["power_w"] is None
    assert told["sessions"][0]["gpu_busy_share"] == 0.5


def test_a_session_without_a_gpu_counter_shows_none(tmp_path, publication) -> None:
    (one,) = Monitor([], tmp_path, lambda pid: Steady(None)).snapshot().facts["sessions"]
    assert (one["gpu_busy_share"], one["gpu_memory_bytes"]) == (None, None)


def test_the_speed_is_shown_while_it_answers_and_shortly_after(tmp_path, publication) -> None:
    publication.begin()
    publication.note(10)
    time.sleep(0.01)
    publication.end()
    (one,) = Monitor([], tmp_path, lambda pid: Steady(None)).snapshot().sessions
    assert one.speed(one.session.updated + 1) > 0
    assert one.speed(one.session.updated + 60) is None
    slow = dataclasses.replace(one.session, answers=1)
    assert dataclasses.replace(one, session=slow).speed(slow.updated + 60) > 0


def test_a_process_keeps_its_counter_while_it_runs(tmp_path, publication) -> None:
    made = []

    def client(pid: int) -> Steady:
        made.append(pid)
        return Steady(OWN)

    monitor = Monitor([], tmp_path, client)
    monitor.snapshot()
    monitor.snapshot()
    assert made == [os.getpid()]
    publication.close()
    assert monitor.snapshot().sessions == ()
