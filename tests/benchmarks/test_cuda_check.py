from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from aipc.measure.bench import result

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "cuda_check"
RESULT = ROOT / "tests" / "measure" / "results" / "smollm2-cpu.json"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT)


def test_a_rehearsal_on_the_cpu(small_store, tmp_path):
    """The real script with the real small model; only the benchmarks are left out."""
    pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime needs Python 3.11")
    out, steps = tmp_path / "out", ("machine", "answer", "logits-fp16", "tests")
    command = [sys.executable, str(SCRIPT), "run", str(out), "--device", "cpu", "--lengths", "16"]
    command += ["--minutes", "60", "--steps", *steps]
    sources = {"PYTHONPATH": str(ROOT / "src"), "AIPC_HOME": str(small_store.home)}
    run = partial(subprocess.run, command, capture_output=True, text=True, env=os.environ | sources)
    done = run(check=False)
    assert done.returncode == 0, done.stdout + (out / "log.txt").read_text("utf-8")
    found = {one["name"]: one for one in json.loads((out / "results.json").read_text())["steps"]}
    assert {name: one["outcome"] for name, one in found.items()} == dict.fromkeys(steps, "good")
    (rows,) = (table["rows"] for table in found["logits-fp16"]["result"]["tables"])
    assert rows[0] == [16, "0", "0", "100.0%", "prompt"]
    assert [row[3:] for row in rows[1:]] == [["100.0%", "token by token"]] * 2
    assert ["device", "CPU"] in found["answer"]["result"]["tables"][0]["rows"]
    tests = found["tests"]["result"]["tables"][0]["rows"]
    assert len(tests) == 4
    assert all(how.startswith("skipped: ") for _, how in tests)
    assert "A rehearsal: nothing here was computed by a GPU." in done.stdout
    assert not out.with_name("out-work").exists()
    again = run(check=False)
    assert again.returncode == 1
    assert "has results already: name another folder" in again.stderr


@pytest.fixture
def schedule(tmp_path):
    """Makes a schedule whose steps are lines of Python, by name."""
    from schedule import Schedule

    class Planted(Schedule):
        def __init__(self, lines, minutes=8.0):
            asked = argparse.Namespace(minutes=minutes, bring=None, device="cuda", layers=32)
            super().__init__(asked, tmp_path, tmp_path)
            self._lines = lines

        def _command(self, step, found):
            return [sys.executable, "-c", self._lines[step.name], str(found)]

        @property
        def outcomes(self):
            steps = json.loads((tmp_path / "results.json").read_text())["steps"]
            return {one["name"]: (one["outcome"], one["why"]) for one in steps}

    return Planted


def test_a_step_that_hangs_fails_or_is_wrong_is_named_and_the_others_go_on(schedule):
    from schedule import Step

    wrong = "import sys, json; open(sys.argv[1], 'w').write(json.dumps({'wrong': '0.3 nats'}))"
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    lines = {"slow": deaf, "broken": "raise SystemExit('no memory')", "wrong": wrong, "fine": ""}
    planted = schedule(lines)
    for name in lines:
        planted.take(Step(name, "planted", 1 if name == "slow" else 60))
    assert planted.outcomes == {
        "slow": ("cut", "it took longer than 1 s"),
        "broken": ("failed", "no memory"),
        "wrong": ("wrong", "0.3 nats"),
        "fine": ("good", ""),
    }


def test_what_has_no_time_left_or_lacks_what_it_needs_is_left_out(schedule):
    from schedule import Step

    planted = schedule({"size-int4-make": "raise SystemExit(1)", "size-int4": ""}, minutes=0.2)
    planted.take(Step("size-int4-make", "planted", 60))
    assert planted.outcomes == {"size-int4-make": ("left out", "7 s were left")}
    planted = schedule({"size-int4-make": "raise SystemExit(1)", "size-int4": ""})
    planted.take(Step("size-int4-make", "planted", 60))
    planted.take(Step("size-int4", "planted", 60))
    assert planted.outcomes["size-int4"] == ("left out", "it needs size-int4-make")
    assert not planted.is_good


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda scores: scores + 1e-4, ""),
        (lambda scores: scores[:, ::-1], "nats from the CPU"),
        (lambda scores: np.full_like(scores, np.nan), "nats from the CPU"),
    ],
)
def test_scores_that_are_not_the_cpus_are_wrong(change, wrong):
    from logits import row, verdict

    scores = 4 * np.random.default_rng(0).standard_normal((8, 100)).astype(np.float32)
    found = verdict([row(change(scores), scores, "prompt")])
    assert wrong in found
    assert bool(found) == bool(wrong)


def test_an_answer_that_is_not_the_cpus_is_wrong():
    from logits import verdict

    assert verdict([(64, None, None, 0.97, "token by token")]) == ""
    found = verdict([(64, None, None, 0.2, "token by token")])
    assert found == "token by token, 64 tokens: 20% are the CPU's"


def test_the_tables_of_a_benchmark():
    from steps import tables

    kept = result.read(RESULT)
    speeds, ratios = tables(kept)["tables"]
    assert {row[0] for row in speeds["rows"]} == {one.name for one in kept.participants}
    assert all(len(row) == len(speeds["header"]) for row in speeds["rows"])
    assert {row[0] for row in ratios["rows"]} == {one.name for one in kept.participants[1:]}


def test_the_summary_has_every_step_and_what_it_found():
    from summary import summary

    table = {"title": "a | b", "header": ["x", "y"], "rows": [[1, None], ["p|q", "two\nlines"]]}
    step = {"name": "tests", "what": "them", "outcome": "wrong", "seconds": 1.25, "limit": 60.0}
    found = {"tables": [table], "notes": ["a note"]}
    results = {"device": "cuda", "created": "now", "seconds": 2.0, "minutes": 8.0, "layers": 32}
    assert summary(results | {"steps": [step | {"why": "1 of 4", "result": found}]}) == (
        "# aipc on `cuda`, now\n\n2 s of at most 480.\n\n"
        "| step | what | outcome | s | at most | why |\n| --- | --- | --- | --- | --- | --- |\n"
        "| tests | them | wrong | 1.2 | 60 | 1 of 4 |\n\n"
        "## tests: a | b\n\n| x | y |\n| --- | --- |\n| 1 | - |\n| p\\|q | two lines |\n\n"
        "tests: a note\n"
    )


def test_another_pythons_wheels_are_asked_for_by_name():
    from bring import tags

    assert tags(None) == []
    asked = tags("3.12")
    assert asked[:4] == ["--implementation", "cp", "--python-version", "3.12"]
    assert {"cp312", "abi3", "none", "manylinux_2_28_x86_64", "manylinux1_x86_64"} <= set(asked)
