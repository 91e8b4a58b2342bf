"""A trial's process that goes wrong, and what is told of it."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import pytest

from aipc.measure.prove import processes
from aipc.measure.prove.findings import TrialTask
from aipc.measure.prove.processes import ProofCommands, list_devices_apart, run_process
from aipc.measure.prove.record import TrialFailure

TASK = TrialTask("", "openvino", "GPU", "gpu", False, "", "", 60.0)
HANGS = """
import sys, time
sys.stdin.readline()
print('{"stage": "a cancel", "cost": 0.5}', flush=True)
time.sleep(600)
"""


@pytest.fixture
def told(planted_program, tmp_path):
    def run(fault):
        task = replace(TASK, home=str(tmp_path / "home"), scratch=str(tmp_path))
        return run_process((*planted_program, "trial", fault), task)

    return run


def test_a_process_that_hangs_is_ended_when_its_time_is_over(monkeypatch):
    monkeypatch.setattr(processes, "GRACE_S", 1.0)
    monkeypatch.setattr(processes, "HANG_S", 1.0)
    begun = time.monotonic()
    found = run_process((sys.executable, "-c", HANGS), replace(TASK, seconds=4.0))
    assert found.failure == TrialFailure("a cancel", "took too long")
    assert 5 <= time.monotonic() - begun < 60


def test_a_step_that_was_begun_too_late_is_no_hang(monkeypatch):
    monkeypatch.setattr(processes, "GRACE_S", 0.0)
    found = run_process((sys.executable, "-c", HANGS), replace(TASK, seconds=4.0))
    assert found.failure is None
    assert found.findings.cut == ("a cancel: its time was over",)


def test_an_error_is_kept_by_its_class_and_its_text_is_for_this_terminal(told):
    found = told("fails")
    assert found.failure == TrialFailure("loading", "EngineError")
    assert found.message == "/home/somebody/model.xml could not be compiled"


def test_a_runtime_that_takes_the_cpu_says_so_by_its_error(told):
    assert told("taken by the CPU").failure == TrialFailure("loading", "NotPlaced")


def test_a_crash_has_its_status_and_the_last_line_of_stderr():
    program = "import sys; sys.stdin.readline(); print('it broke', file=sys.stderr); sys.exit(3)"
    found = run_process((sys.executable, "-c", program), TASK)
    assert found.failure == TrialFailure("starting", "crashed", 3)
    assert found.message == "it broke"


def test_devices_are_listed_apart(planted_program):
    devices = list_devices_apart(ProofCommands().listing, "openvino")
    assert "CPU" in [one.name for one in devices]
    devices = list_devices_apart((*planted_program, "listing"), "openvino")
    assert [one.name for one in devices][-1] == "GPU"


def test_a_driver_that_crashes_when_it_is_asked_is_told():
    found = list_devices_apart((sys.executable, "-c", "import os; os._exit(139)"), "openvino")
    assert found == TrialFailure("listing its devices", "crashed", 139)
