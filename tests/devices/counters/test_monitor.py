from __future__ import annotations

import dataclasses
import json
import os
import time

import pytest

from aipc.devices.counters.counter import Reading
from aipc.devices.counters.monitor import ClientCounter, Monitor
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


I915 = """pos:\t0
flags:\t0100002
drm-driver:\ti915
drm-client-id:\t7
drm-pdev:\t0000:00:02.0
drm-engine-render:\t{render} ns
drm-engine-copy:\t0 ns
drm-engine-capacity-video:\t2
"""
XE = """drm-driver:\txe
drm-client-id:\t3
drm-pdev:\t0000:03:00.0
drm-resident-vram0:\t2048 MiB
drm-resident-gtt:\t192 KiB
drm-cycles-ccs:\t{cycles}
drm-total-cycles-ccs:\t{total}
drm-engine-capacity-ccs:\t4
"""


def test_i915_tells_nanoseconds(tree) -> None:
    root = tree({"proc/42/fdinfo/5": I915.format(render=10**9), "proc/42/fdinfo/0": "pos:\t0\n"})
    counter = ClientCounter(42, root)
    assert counter.read(0.0).busy_share is None
    (root / "proc/42/fdinfo/5").write_text(I915.format(render=2_500_000_000))
    reading = counter.read(2.0)
    assert (reading.kind, reading.maker) == ("gpu", "intel")
    assert reading.busy_share == pytest.approx(0.75)
    assert reading.memory_used_bytes is None


def test_xe_tells_cycles_of_a_total(tree) -> None:
    root = tree({"proc/42/fdinfo/5": XE.format(cycles=100, total=1000)})
    counter = ClientCounter(42, root)
    counter.read(0.0)
    (root / "proc/42/fdinfo/5").write_text(XE.format(cycles=1000, total=2000))
    reading = counter.read(1.0)
    assert reading.busy_share == pytest.approx(0.9)
    assert reading.memory_used_bytes == 2 * 2**30


def test_a_client_with_several_descriptors_counts_once(tree) -> None:
    text = XE.format(cycles=1, total=2)
    root = tree({"proc/42/fdinfo/5": text, "proc/42/fdinfo/6": text})
    assert ClientCounter(42, root).read(0.0).memory_used_bytes == 2 * 2**30


def test_a_process_without_a_gpu_or_gone_tells_nothing(tree) -> None:
    root = tree({"proc/42/fdinfo/0": "pos:\t0\nflags:\t02\n"})
    assert ClientCounter(42, root).read(0.0) is None
    assert ClientCounter(43, root).read(0.0) is None


def test_this_process_is_meant_where_none_is_named(tree) -> None:
    root = tree({f"proc/{os.getpid()}/fdinfo/5": XE.format(cycles=1, total=2)})
    assert ClientCounter(root=root).read(0.0) is not None
