"""Whole batches on this machine, answered by real workers with a fake model."""

from __future__ import annotations

import json
import os
import signal
import threading

import fake_session
import pytest
from batch_files import line, lines

from aipc import batch
from aipc.batch.options import BatchOptions
from aipc.batch.output import errors_path, partial_path
from aipc.errors import BatchError, DeviceError, UsageError
from aipc.models.store import Store
from aipc.pool.worker.loading import LOADER

MODEL = "smollm2-135m"
"""In the catalogue, so that it has a card; nothing of it is loaded."""


@pytest.fixture
def run(tmp_path):
    """Write an input and run it; the summary, and the answers' members by id in their order."""
    weights = tmp_path / "home" / MODEL / "weights"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"1")

    def go(text, *, model=MODEL, out="out.jsonl", options=None, **more):
        source, target = tmp_path / "in.jsonl", tmp_path / out
        source.write_text(text)
        summary = batch.run(
            source,
            target,
            model,
            options,
            store=Store(tmp_path / "home"),
            **{"loader": fake_session.LOADER, **more},
        )
        return summary, read(target) if target.exists() else {}

    return go


def read(path):
    return {one["custom_id"]: one for one in map(json.loads, path.read_text().splitlines())}


def said(answer):
    return answer["response"]["body"]["choices"][0]["message"]["content"].strip()


def test_every_line_has_its_answer_and_the_summary_counts_them(run, tmp_path):
    summary, answers = run(lines(150))
    assert {name: said(one) for name, one in answers.items()} == {
        f"id-{at}": f"question {at}" for at in range(150)
    }
    assert (summary.answered, summary.failed, summary.left, summary.before) == (150, 0, 0, 0)
    assert summary.generated == 300
    assert summary.is_whole
    assert not partial_path(tmp_path / "out.jsonl").exists()


def test_ordered_answers_stand_as_the_lines_do(run):
    text = lines(40) + line("long", "count 300") + lines(0)
    _, answers = run(text, options=BatchOptions(ordered=True))
    assert list(answers) == [*(f"id-{at}" for at in range(40)), "long"]


def test_a_line_that_kills_the_worker_fails_alone(run, tmp_path):
    text = lines(30) + line("deadly", "die after 3") + line("refused", "refuse")
    summary, answers = run(text)
    failures = read(errors_path(tmp_path / "out.jsonl"))
    assert len(answers) == 30
    statuses = {name: one["response"]["status_code"] for name, one in failures.items()}
    assert statuses == {"deadly": 503, "refused": 400}
    assert (summary.answered, summary.failed) == (30, 2)
    assert not summary.is_whole


def test_failures_are_asked_again(run, tmp_path):
    run(lines(3) + line("refused", "refuse"))
    again, answers = run(
        lines(3) + line("refused", "refuse"), options=BatchOptions(retry_failed=True)
    )
    assert (again.before, again.failed, len(answers)) == (3, 1, 3)
    assert list(read(errors_path(tmp_path / "out.jsonl"))) == ["refused"]


def test_it_stops_at_its_limit_and_goes_on_where_it_was(run, tmp_path):
    text = lines(60)
    summary, answers = run(text, options=BatchOptions(max_tokens_total=40, in_flight=2))
    assert 0 < summary.answered < 60
    assert summary.left == 60 - summary.answered
    assert "max-tokens-total" in summary.stopped
    assert answers == {}
    rest, answers = run(text)
    assert rest.before == summary.answered
    assert rest.answered == summary.left
    assert len(answers) == 60


def test_another_run_does_not_go_on_with_it(run):
    run(lines(60), options=BatchOptions(max_tokens_total=40, in_flight=2))
    with pytest.raises(BatchError, match="the input has changed"):
        run(lines(61))
    with pytest.raises(BatchError, match="option exact was false, is true"):
        run(lines(60), options=BatchOptions(exact=True))


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_what_is_answered_stays(run, number):
    before = signal.getsignal(number)
    text = lines(50) + line("slow", "count 10000 every 0.1")

    sent = []

    def interrupt(counts):
        if counts.done == 50 and not sent:
            sent.append(counts)
            os.kill(os.getpid(), number)

    summary, _ = run(text, heeds_signals=True, show_counts=interrupt)
    assert (summary.answered, summary.left) == (50, 1)
    assert summary.stop_signal == number
    assert signal.getsignal(number) is before


def test_with_exact_one_line_is_asked_at_a_time_by_pinned_numerics(run):
    watched = []
    summary, _ = run(lines(20), options=BatchOptions(exact=True), show_counts=watched.append)
    assert summary.answered == 20
    assert max(one.under_way for one in watched) <= 1


def test_models_are_looked_for_before_a_line_is_asked(run, tmp_path):
    with pytest.raises(Exception, match="-m MODEL"):
        run(lines(2), model=None)  # they name "m"
    embedding = line("e", url="/v1/embeddings", input="x").replace('"messages"', '"ignored"')
    with pytest.raises(UsageError, match="makes no embeddings"):
        run(embedding)
    assert not partial_path(tmp_path / "out.jsonl").exists()


def test_it_works_in_a_thread(run):
    found = []
    thread = threading.Thread(target=lambda: found.append(run(lines(5), heeds_signals=True)))
    thread.start()
    thread.join()
    assert found[0][0].answered == 5


def test_a_model_that_does_not_load_ends_it_before_a_line_is_asked(run, tmp_path):
    with pytest.raises(DeviceError, match="NPU"):
        run(lines(5), loader=LOADER, device="npu")
    assert not partial_path(tmp_path / "out.jsonl").exists()


def test_another_artifact_is_another_run(run, tmp_path):
    run(lines(60), options=BatchOptions(max_tokens_total=40, in_flight=2))
    (tmp_path / "home" / MODEL / "weights").write_bytes(b"2")
    with pytest.raises(BatchError, match=f"the artifact of '{MODEL}' is another"):
        run(lines(60))
