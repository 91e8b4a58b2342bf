"""A disk that is full, read-only or over its quota: one line, and nothing half made."""

from __future__ import annotations

import sys
import threading

import pytest

pytest.importorskip("openvino_genai")
pytest.importorskip("onnxruntime_genai")
if sys.platform != "linux":
    pytest.skip("the file systems are Linux's", allow_module_level=True)

from works import WORKS, misreported

NAMED = ("space", "room", "quota", "read-only", "needs", "can't be made", "permission", "free")
REFUSALS = ("ENOSPC", "EDQUOT", "EROFS")
SHORT = ("convert-onnx-rtn",)
MOST = 20


def forms(short=SHORT):
    return pytest.mark.parametrize(
        ("name", "most"),
        [
            *(pytest.param(name, 2, id=f"{name}-short") for name in short),
            *(pytest.param(name, MOST, id=name, marks=pytest.mark.faults) for name in WORKS),
        ],
    )


def judge(row, trial, moment, outcome):
    """What a command said that met the fault, and what it left."""
    wrong = list(trial.wrong_now())
    if outcome.status == 0:
        row.count("done all the same")
    else:
        row.count("refused in one line")
        wrong += misreported(outcome)
        if not any(word in outcome.err.lower() for word in NAMED):
            wrong.append(f"does not name it: {outcome.err[-400:]}")
    return [f"{moment}: {one}" for one in wrong]


@forms()
def test_refused_by_the_system_at_any_change_of_a_file(row, make_trial, name, most):
    trial = make_trial(name)
    for draw in row.cases(most):
        fault, step = draw.choice(REFUSALS), draw.randint(1, trial.steps)
        outcome = trial.run(planted=(fault, step))
        moment = f"{fault} at change {step} of {trial.steps}"
        for one in judge(row, trial, moment, outcome):
            row.find(one)
        for one in trial.wrong_after_next_run():
            row.find(f"{moment}, {one}")
        trial.program.restore()


@forms()
def test_a_disk_that_is_too_small_or_fills_on_the_way(row, make_trial, name, most):
    trial = make_trial(name)
    disk = trial.program.disk
    if disk is None:
        pytest.skip("mounting is not permitted here")
    kept = trial.program.nbytes
    for draw in row.cases(most):
        if draw.random() < 0.5:
            room = int(draw.uniform(0, 1.05) * max(trial.nbytes - kept, 2**16))
            disk.resize(disk.used + room)
            moment, outcome = f"with {room:,} bytes", trial.run()
        else:
            at = draw.uniform(0.2, 1) * trial.seconds
            filler = threading.Timer(at, disk.fill)
            filler.start()
            moment, outcome = f"full after {at:.2f} s", trial.run()
            filler.cancel()
            filler.join()
        for one in judge(row, trial, moment, outcome):
            row.find(one)
        disk.resize(disk.nbytes)
        (disk.folder / "filler").unlink(missing_ok=True)
        for one in trial.wrong_after_next_run():
            row.find(f"{moment}, {one}")
        trial.program.restore()
