"""Killed at any moment: nothing half made is listed, and the same command makes it whole."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

pytest.importorskip("openvino_genai")
pytest.importorskip("onnxruntime_genai")
if sys.platform != "linux":
    pytest.skip("processes are read from /proc", allow_module_level=True)

import processes
from works import WORKS

SHORT = ("pull", "convert-onnx-rtn", "ready-weights")
MOST = 50
WHO = ("process", "process", "worker", "all")


def kill_at_time(trial, seconds, who):
    """With SIGKILL from outside; what is not killed has to end by itself."""
    with trial.program.started(*trial.command) as process:
        time.sleep(seconds)
        workers = processes.descendants(process.pid)
        doomed = {"process": [process.pid], "worker": workers[:1], "all": [process.pid, *workers]}
        for pid in doomed[who]:
            if processes.is_there(pid):
                os.kill(pid, signal.SIGKILL)
        process.wait(4 * processes.SETTLED_S)
        processes.settle(workers)
    told = trial.program.told.read_text()
    return [told[-400:]] if "Traceback" in told else []


@pytest.mark.parametrize(
    ("name", "kills"),
    [
        *(pytest.param(name, 2, id=f"{name}-short") for name in SHORT),
        *(pytest.param(name, MOST, id=name, marks=pytest.mark.faults) for name in WORKS),
    ],
)
def test_killed_at_any_moment_the_next_run_makes_it_whole(row, make_trial, name, kills):
    trial = make_trial(name)
    for draw in row.cases(kills):
        if draw.random() < 0.5:
            step = draw.randint(1, trial.steps)
            trial.run(planted=("killed", step))
            moment, wrong = f"before change {step} of {trial.steps}", []
        else:
            at, who = draw.uniform(0.3, 1) * trial.seconds, draw.choice(WHO)
            wrong = kill_at_time(trial, at, who)
            moment = f"{who} after {at:.2f} s of {trial.seconds:.2f}"
        row.count("killed")
        for one in (*wrong, *trial.wrong_now(), *trial.wrong_after_next_run()):
            row.find(f"{moment}: {one}")
        trial.program.restore()
