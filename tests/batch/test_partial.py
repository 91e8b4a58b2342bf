from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import pytest
from batch_files import line, lines

from aipc.batch.answers import LineAnswer, failed_answer, new_answer, refused_answer
from aipc.batch.input.line_index import Fault, FaultLog
from aipc.batch.input.lines import check_input
from aipc.batch.output import claimed, errors_path, partial_path
from aipc.batch.partial import PartialFile
from aipc.batch.run_key import RunKey
from aipc.errors import BatchError
from aipc.wire.errors import HTTPError

COUNT = 20
KEY = RunKey("ab12")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.jsonl"


@pytest.fixture
def entries(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(lines(COUNT))
    return check_input(path).entries


def good(at, text="fine"):
    return new_answer(f"id-{at}", {"text": text}, "req_1")


def bad(at):
    return refused_answer(f"id-{at}", HTTPError(503, "busy"))


def left(partial):
    return [int(at) for at in partial.left()]


def filled(out, entries, answers, **options):
    """A partial file with these answers more, closed."""
    partial = PartialFile(out, KEY, entries, **options)
    for each in answers:
        partial.append(each)
    partial.close()
    return partial


def ids(path):
    return [json.loads(row)["custom_id"] for row in path.read_text("utf-8").splitlines()]


def test_what_was_answered_is_not_left_when_it_is_gone_on_with(out, entries):
    filled(out, entries, [good(3), bad(1), good(0)])
    partial = PartialFile(out, KEY, entries)
    assert left(partial) == [2, *range(4, COUNT)]
    partial.close()


def test_the_end_is_an_output_of_answers_and_one_of_failures(out, entries):
    answers = [bad(at) if at % 5 == 0 else good(at) for at in range(COUNT)]
    random.Random(2).shuffle(answers)
    filled(out, entries, answers).finish()
    assert ids(out) == [one.custom_id for one in answers if not one.is_failed]
    assert ids(errors_path(out)) == [one.custom_id for one in answers if one.is_failed]
    assert not partial_path(out).exists()
    read = [LineAnswer.from_line(row) for row in out.read_bytes().splitlines(keepends=True)]
    assert read == [one for one in answers if not one.is_failed]


def test_on_demand_the_output_is_in_the_inputs_order(out, entries):
    answers = [bad(at) if at in {4, 9} else good(at) for at in reversed(range(COUNT))]
    filled(out, entries, answers).finish(ordered=True)
    assert ids(out) == [f"id-{at}" for at in range(COUNT) if at not in {4, 9}]
    assert ids(errors_path(out)) == ["id-4", "id-9"]


def test_lines_that_could_not_be_asked_are_failures(out, entries):
    faults = [Fault(30, "x", "stream: no"), Fault(31, None, "it is no JSON")]
    filled(out, entries, [good(at) for at in range(COUNT)]).finish(FaultLog(faults))
    told = [json.loads(row) for row in errors_path(out).read_text().splitlines()]
    assert [row["custom_id"] for row in told] == ["x", None]
    assert told[1]["error"] == {"code": "invalid_line", "message": "line 31: it is no JSON"}


def test_without_a_failure_there_is_no_file_of_them(out, entries):
    filled(out, entries, [bad(0), *(good(at) for at in range(1, COUNT))]).finish()
    assert errors_path(out).exists()
    filled(out, entries, [good(0)], retry_failed=True).finish()
    assert sorted(path.name for path in out.parent.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_an_id_is_answered_once(out, entries):
    partial = PartialFile(out, KEY, entries)
    assert partial.append(good(0, "first"))
    assert not partial.append(good(0, "second"))
    assert not partial.append(bad(0))
    partial.close()
    assert '"second"' not in partial_path(out).read_text()


def test_failures_are_asked_again_on_demand_in_an_unfinished_run(out, entries):
    filled(out, entries, [bad(0), good(1)])
    assert left(filled(out, entries, [], retry_failed=True)) == [0, *range(2, COUNT)]
    again = filled(out, entries, [good(0, "now"), bad(2)], retry_failed=True)
    assert left(again) == list(range(3, COUNT))
    assert left(filled(out, entries, [])) == list(range(3, COUNT))
    assert left(filled(out, entries, [], retry_failed=True)) == list(range(2, COUNT))
    filled(out, entries, [good(at) for at in range(2, COUNT)], retry_failed=True).finish(
        ordered=True
    )
    assert ids(out) == [f"id-{at}" for at in range(COUNT)]
    assert json.loads(out.read_text().splitlines()[0])["response"]["body"] == {"text": "now"}


def test_failures_of_a_finished_run_are_asked_again_on_demand(out, entries):
    filled(out, entries, [bad(at) if at < 3 else good(at) for at in range(COUNT)]).finish()
    before = out.read_text()
    with pytest.raises(BatchError, match=r"exists already; .*--retry-failed"):
        PartialFile(out, KEY, entries)
    retried = filled(out, entries, [good(0)], retry_failed=True)
    assert left(retried) == [1, 2]
    assert out.read_text() == before
    gone_on = filled(out, entries, [good(1), bad(2)])
    gone_on.finish(ordered=True)
    assert ids(out) == [f"id-{at}" for at in range(COUNT) if at != 2]
    assert ids(errors_path(out)) == ["id-2"]


def test_only_an_output_of_this_input_is_retried(out, entries):
    out.write_bytes(new_answer("other", {}, "req_1").to_line())
    with pytest.raises(BatchError, match="no line 'other'"):
        PartialFile(out, KEY, entries, retry_failed=True)
    out.write_text("{}\n")
    with pytest.raises(BatchError, match=r"line 1 of .* is damaged"):
        PartialFile(out, KEY, entries, retry_failed=True)
    assert not partial_path(out).exists()


def test_failures_are_asked_again_of_the_same_model_alone(out, entries):
    model = entries[0].model
    out.write_bytes(new_answer("id-0", {"model": model}, "req_1").to_line())
    PartialFile(out, KEY, entries, retry_failed=True).close()
    partial_path(out).unlink()
    out.write_bytes(new_answer("id-0", {"model": "another"}, "req_1").to_line())
    with pytest.raises(BatchError, match=f"answered by 'another', not by '{model}'; retry with"):
        PartialFile(out, KEY, entries, retry_failed=True)


def test_failures_of_an_output_that_is_gone_are_not_replaced(out, entries):
    errors_path(out).write_text("kept\n")
    with pytest.raises(BatchError, match=r"errors\.jsonl' is left of an earlier batch; remove it"):
        PartialFile(out, KEY, entries)
    assert errors_path(out).read_text() == "kept\n"


def test_another_run_is_refused_with_what_differs_and_what_to_do(out, entries):
    filled(out, entries, [good(0)])
    before = partial_path(out).read_bytes()
    with pytest.raises(BatchError) as error:
        PartialFile(out, RunKey("cd34", "m"), entries)
    assert "the input has changed, the model was each line's own, is 'm'" in str(error.value)
    assert f"remove '{partial_path(out)}' to begin again" in str(error.value)
    assert partial_path(out).read_bytes() == before


@pytest.mark.parametrize("first", [b'{"aipc_batch": 99}\n', b"what a user keeps here\n"])
def test_a_file_of_another_version_or_a_users_own_is_left_alone(out, entries, first):
    partial_path(out).write_bytes(first)
    with pytest.raises(BatchError, match="another version"):
        PartialFile(out, KEY, entries)
    assert partial_path(out).read_bytes() == first


def test_it_begins_anew_where_nothing_whole_was_written(out, entries):
    partial_path(out).write_bytes(KEY.line()[:9])
    assert left(filled(out, entries, [good(0)])) == list(range(1, COUNT))
    assert partial_path(out).read_bytes().startswith(KEY.line())


def test_a_torn_last_line_is_cut_wherever_it_was_torn(out, entries):
    filled(out, entries, [good(0)])
    whole = partial_path(out).stat().st_size
    filled(out, entries, [good(1)])
    content = partial_path(out).read_bytes()
    for end in range(whole, len(content)):
        partial_path(out).write_bytes(content[:end])
        assert left(filled(out, entries, [])) == list(range(1, COUNT)), end
        assert partial_path(out).read_bytes() == content[:whole]
    filled(out, entries, [good(1, "again"), *(good(at) for at in range(2, COUNT))]).finish()
    assert Counter(ids(out)) == Counter(f"id-{at}" for at in range(COUNT))


def test_bytes_that_never_reached_the_disk_are_cut(out, entries):
    filled(out, entries, [good(0)])
    content = partial_path(out).read_bytes()
    for end in (b"\0" * 4096, b"\0" * 100 + b"\n", b'{"id": "x"}\n'):
        partial_path(out).write_bytes(content + end)
        assert left(filled(out, entries, [])) == list(range(1, COUNT))
        assert partial_path(out).read_bytes() == content


def test_a_damaged_line_in_the_middle_is_refused_by_its_number(out, entries):
    filled(out, entries, [good(0), good(1), good(2)])
    rows = partial_path(out).read_bytes().splitlines(keepends=True)
    damaged = b"".join([*rows[:2], rows[2][:30] + b"\n", rows[3]])
    partial_path(out).write_bytes(damaged)
    with pytest.raises(BatchError, match=r"line 3 of .*partial' is damaged"):
        PartialFile(out, KEY, entries)
    assert partial_path(out).read_bytes() == damaged


def test_a_doubled_line_counts_once(out, entries):
    filled(out, entries, [good(at) for at in range(COUNT)])
    rows = partial_path(out).read_bytes().splitlines(keepends=True)
    partial_path(out).write_bytes(b"".join([*rows, rows[4], rows[9]]))
    partial = filled(out, entries, [])
    assert left(partial) == []
    partial.finish(ordered=True)
    assert ids(out) == [f"id-{at}" for at in range(COUNT)]


def test_an_answer_to_what_is_not_in_the_input_is_refused(out, entries):
    partial = PartialFile(out, KEY, entries)
    with pytest.raises(BatchError, match="no line 'other'"):
        partial.append(new_answer("other", {}, "req_1"))
    partial.close()


def test_answers_are_on_the_disk_in_groups_and_when_some_time_has_passed(
    out, tmp_path, monkeypatch
):
    (tmp_path / "many.jsonl").write_text(lines(300))
    partial = PartialFile(out, KEY, check_input(tmp_path / "many.jsonl").entries)
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for at in range(200):
        partial.append(good(at))
    assert 3 <= len(synced) < 100
    partial._synced_at -= 10
    before = len(synced)
    partial.append(good(200))
    partial.append(good(201))
    partial.close()
    assert len(synced) == before + 2


@pytest.mark.skipif(os.name == "nt", reason="Windows limits no file's size")
def test_a_full_disk_costs_the_answer_that_did_not_fit_and_no_other(out, entries):
    """A limit of the file's size stops a write in its middle, as a full disk does."""
    import resource

    partial = PartialFile(out, KEY, entries)
    partial.append(good(0))
    before = partial_path(out).read_bytes()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, hard))
        with pytest.raises(BatchError, match=r"can't write .*out.jsonl.partial.*answers are kept"):
            partial.append(good(1))
        assert partial_path(out).read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for at in range(1, COUNT):
        partial.append(good(at))
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), hard))
    try:
        with pytest.raises(BatchError, match="can't write"):
            partial.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in out.parent.iterdir()) == ["in.jsonl", "out.jsonl.partial"]
    filled(out, entries, []).finish()
    assert ids(out) == [f"id-{at}" for at in range(COUNT)]


WRITE = """
import os, random, sys
from pathlib import Path
from aipc.batch.answers import new_answer, refused_answer
from aipc.batch.input.lines import check_input
from aipc.batch.output import claimed, errors_path, partial_path
from aipc.batch.partial import PartialFile
from aipc.batch.run_key import RunKey
from aipc.wire.errors import HTTPError

source, out = map(Path, sys.argv[1:])

def answer(entry):
    if entry.number % 10 == 0:
        return refused_answer(entry.custom_id, HTTPError(400, "no"))
    text = entry.custom_id * random.randrange(1, 400)
    return new_answer(entry.custom_id, {"text": text}, "req_1")

def write():
    with claimed(out):
        if not (out.exists() or partial_path(out).exists()):
            errors_path(out).unlink(missing_ok=True)
        checked = check_input(source)
        partial = PartialFile(out, RunKey(checked.sha256), checked.entries)
        left = list(partial.left())
        random.shuffle(left)
        for at in left:
            partial.append(answer(checked.entries[int(at)]))
        partial.finish()
    out.unlink()

for _ in sys.stdin:
    child = os.fork()
    while child == 0:
        write()
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="no fork, and no SIGKILL")
def test_killed_at_any_moment_it_is_gone_on_with_and_nothing_is_lost_or_doubled(tmp_path, out):
    """Processes that answer the input again and again, fifty of them killed."""
    source = tmp_path / "in.jsonl"
    source.write_text(lines(80))
    wanted = Counter(f"id-{at}" for at in range(80))
    draw = random.Random(17)
    states = Counter()
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, str(source), str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writers:
        for _ in range(50):
            print(file=writers.stdin, flush=True)
            child = int(writers.stdout.readline())
            _wait_for_bytes(partial_path(out), draw.randrange(70_000))
            time.sleep(draw.choice([0.0, 0.01, 0.05]))
            os.kill(child, signal.SIGKILL)
            assert writers.stdout.readline() == "ended\n"
            states[partial_path(out).exists(), out.exists()] += 1
            if partial_path(out).exists() and draw.random() < 0.5:
                _finish(source, out)
            if out.exists() and not partial_path(out).exists():
                assert Counter(ids(out) + ids(errors_path(out))) == wanted
                out.unlink()
                errors_path(out).unlink()
        writers.stdin.close()
    assert states[True, False] > 5, states


def _wait_for_bytes(path, wanted):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            if path.stat().st_size >= wanted:
                return
        time.sleep(0.0005)
    pytest.fail(f"{path} never had {wanted} bytes")


def _finish(source, out):
    with claimed(out):
        checked = check_input(source)
        partial = PartialFile(out, RunKey(checked.sha256), checked.entries)
        for at in partial.left():
            number, custom_id = int(at) + 1, checked.entries[int(at)].custom_id
            failed = failed_answer(custom_id, "code", "why")
            partial.append(new_answer(custom_id, {}, "req_1") if number % 10 else failed)
        partial.finish()


def test_a_batch_of_faults_alone_has_an_empty_output(tmp_path, out):
    (tmp_path / "faulty.jsonl").write_text(line("a", stream=True))
    checked = check_input(tmp_path / "faulty.jsonl", skip_invalid=True)
    PartialFile(out, KEY, checked.entries).finish(checked.faults, ordered=True)
    assert out.read_bytes() == b""
    assert ids(errors_path(out)) == ["a"]
