from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aipc.batch.runner import BatchSummary
from aipc.batch.work import Counts
from aipc.cli.screen.batch_display import figures
from aipc.errors import UsageError


def summary(**fields) -> BatchSummary:
    given = {
        "answered": 3,
        "failed": 0,
        "before": 0,
        "left": 0,
        "failures": 0,
        "tokens": 90,
        "generated": 30,
    }
    return BatchSummary(Path("out.jsonl"), **{"errors": None, "seconds": 2.0, **given, **fields})


@pytest.fixture
def ran(monkeypatch):
    """Have the batch end so; what it was called with."""
    seen = {}

    def end(outcome):
        def run(source, out, model, options, **more):
            seen.update(source=source, out=out, model=model, options=options, **more)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr("aipc.batch.runner.run", run)
        return seen

    return end


def test_a_cluster_is_asked_as_the_flags_say(aipc, ran) -> None:
    seen = ran(summary())
    assert aipc("batch", "in.jsonl", "out.jsonl", "--ray").status == 0
    assert (seen["ray"], seen["cluster"]) == ("here", None)
    flags = ("--ray", "10.0.0.1:6379", "--max-actors", "9", "--shards", "s3://runs/1")
    assert aipc("batch", "in.jsonl", "out.jsonl", *flags).status == 0
    assert seen["ray"] == "10.0.0.1:6379"
    assert (seen["cluster"].max_actors, seen["cluster"].shards) == (9, "s3://runs/1")


def test_a_clusters_flags_without_one_are_refused(aipc, ran) -> None:
    ran(summary())
    outcome = aipc("batch", "in.jsonl", "out.jsonl", "--max-actors", "2")
    assert outcome.status == 2
    assert "give --ray too" in outcome.stderr


def test_flags_reach_the_batch(aipc, ran) -> None:
    seen = ran(summary())
    how = ("--exact", "--ordered", "--max-tokens-total", "500", "--in-flight", "4")
    model = ("-m", "phi-3-mini", "--device", "cpu", "--ov-config", "NUM_STREAMS=1")
    prompts = (
        "--prompt-column",
        "text",
        "--max-new-tokens",
        "9",
        "--seed",
        "7",
        "--system",
        "Brief",
    )
    outcome = aipc("batch", "in.csv", "out.jsonl", *how, *model, *prompts)
    assert outcome.status == 0
    assert (seen["source"], seen["out"], seen["model"]) == (
        Path("in.csv"),
        Path("out.jsonl"),
        "phi-3-mini",
    )
    options = seen["options"]
    assert (options.exact, options.ordered, options.in_flight) == (True, True, 4)
    assert (options.max_tokens_total, options.prompt_column) == (500, "text")
    assert seen["members"] == {"max_tokens": 9, "seed": 7}
    assert (seen["system"], seen["device"], seen["runtime"]) == ("Brief", "cpu", "openvino")
    assert seen["properties"] == {"NUM_STREAMS": "1"}
    assert seen["heeds_signals"]


def test_a_dash_is_stdin(aipc, ran) -> None:
    seen = ran(summary())
    aipc("batch", "-", "out.jsonl")
    assert seen["source"] is None


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({}, 0, "3 lines in 0:00:02: 30 tokens, 15 a second\nanswers: out.jsonl\n"),
        (
            {"failed": 1, "failures": 1, "errors": Path("out.jsonl.errors.jsonl")},
            1,
            "--retry-failed asks them",
        ),
        ({"errors": Path("out.jsonl.errors.jsonl")}, 1, "failures: out.jsonl.errors.jsonl\n"),
        ({"left": 5, "stopped": "its time is over"}, 1, "5 lines left; the same command goes"),
        ({"left": 5, "stop_signal": signal.SIGINT}, 130, "5 lines left"),
        ({"left": 5, "stop_signal": signal.SIGTERM}, 1, "5 lines left"),
    ],
)
def test_its_end_is_told_and_is_the_exit_status(aipc, ran, fields, status, told) -> None:
    ran(summary(**fields))
    outcome = aipc("batch", "in.jsonl", "out.jsonl")
    assert outcome.status == status
    assert told in outcome.stderr
    assert outcome.stdout == ""


def test_json_is_one_object(aipc, ran) -> None:
    ran(summary(left=2, stopped="enough"))
    outcome = aipc("batch", "in.jsonl", "out.jsonl", "--json")
    told = json.loads(outcome.stdout)
    assert (told["answered"], told["left"], told["stopped"]) == (3, 2, "enough")
    assert told["tokens_per_s"] == 15.0
    assert outcome.status == 1


def test_faults_stand_in_lines_of_their_own(aipc, tmp_path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"custom_id": "a"}\nnothing\n')
    outcome = aipc("batch", str(source), str(tmp_path / "out.jsonl"), "-m", "smollm2-135m")
    assert outcome.status == 2
    first, second, last = outcome.stderr.splitlines()
    assert first.strip().startswith("line 1 ('a')")
    assert second.strip().startswith("line 2:")
    assert last.startswith("aipc: 2 lines of")
    assert "--skip-invalid" in last


def test_an_error_of_one_line_stays_one(aipc, ran) -> None:
    ran(UsageError("no such time", "write 2h"))
    assert aipc("batch", "in", "out").stderr == "aipc: no such time; write 2h\n"


def test_figures_are_told_as_far_as_there_are_any() -> None:
    counts = {"under_way": 8, "tokens": 400, "generated": 200, "elapsed_s": 10.0}
    assert figures(Counts(done=0, failed=0, left=20, **counts | {"generated": 0})) == ""
    some = Counts(done=20, failed=1, left=40, **counts)
    assert figures(some) == "1 failed, 20 tokens/s, 0:00:20 left"
    assert figures(Counts(done=60, failed=0, left=0, **counts)) == "20 tokens/s"


def test_a_service_that_is_stopped_while_it_loads_ends_as_by_ctrl_c(tmp_path) -> None:
    program = """
import signal
from aipc.batch import runner
from aipc.cli import main

runner.run = lambda *_, **__: signal.raise_signal(signal.SIGTERM)
main(["batch", "in.jsonl", "out.jsonl"])
"""
    environment = {**os.environ, "AIPC_HOME": str(tmp_path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (130, b"")
