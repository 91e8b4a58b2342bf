from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from batch_files import lines

from aipc.batch.input.lines import check_input
from aipc.batch.output import (
    check_begun,
    check_name,
    check_output,
    claimed,
    errors_path,
    partial_path,
)
from aipc.batch.partial import PartialFile
from aipc.batch.run_key import RunKey
from aipc.errors import BatchError, UsageError


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.jsonl"


@pytest.mark.parametrize("name", ["", ".", "..", "-", "folder", "/dev/null"])
def test_an_output_is_a_file_of_its_own(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="name a file"):
        check_name(Path(name), None)


@pytest.mark.parametrize(
    "name", ["out", "out.partial", "out.errors.jsonl", ".out.requests.jsonl", ".out.lock"]
)
def test_no_output_replaces_its_input(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    source = tmp_path / name
    source.write_text(lines(1))
    with pytest.raises(UsageError, match="would replace the input"):
        check_name(Path("out"), source)
    check_name(Path("other"), source)


def test_an_output_that_exists_is_not_replaced(out):
    check_output(out)
    out.write_text("kept")
    with pytest.raises(BatchError, match="choose another name"):
        check_output(out)
    check_output(out, retry_failed=True)
    partial_path(out).write_text("")
    check_output(out)


def test_another_run_is_refused_before_its_artifacts_are_known(out, tmp_path):
    (tmp_path / "in.jsonl").write_text(lines(3))
    entries = check_input(tmp_path / "in.jsonl").entries
    key = RunKey("ab12")
    check_begun(out, key)
    begun = RunKey("ab12", "m", {"m": "h1"}, {"exact": True})
    PartialFile(out, begun, entries).close()
    check_begun(out, replace(begun, artifacts={}))
    with pytest.raises(BatchError, match="option exact was true, is false"):
        check_begun(out, RunKey("ab12", "m", {}, {"exact": False}))
    with pytest.raises(BatchError, match="the artifact of 'm' is another"):
        PartialFile(out, replace(begun, artifacts={"m": "h2"}), entries)
    partial_path(out).write_bytes(begun.line()[:-9])
    check_begun(out, key)


HOLD = """
import sys, time
from pathlib import Path
from aipc.batch.output import claimed

with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_processes_do_not_write_one_output(out):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BatchError, match="another process writes"), claimed(out):
            pass
    finally:
        holder.kill()
        holder.communicate(timeout=30)
    with claimed(out):
        pass
    assert list(out.parent.iterdir()) == []


def test_an_output_needs_a_folder(tmp_path):
    with pytest.raises(BatchError, match="no folder"), claimed(tmp_path / "none" / "out.jsonl"):
        pass


def test_drafts_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    end = ".0123456789abcdef.part"
    left = [f".{path.name}{end}" for path in (out, partial_path(out), errors_path(out))]
    kept = [f".out.jsonl{end}", f".other{end}", ".out.part"]
    for name in left + kept:
        (tmp_path / name).touch()
    with claimed(out):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
