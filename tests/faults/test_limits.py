"""What the rows of this folder lean on: limits that hold, counts that are kept."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

GIB = 2**30


def test_a_program_that_sleeps_is_ended_at_its_limit(limited):
    outcome = limited([sys.executable, "-c", "import time; time.sleep(60)"], seconds=0.5)

    assert outcome.status is None
    assert outcome.seconds < 10


def test_a_program_can_t_have_more_memory_than_its_limit(limited):
    outcome = limited([sys.executable, "-c", "bytearray(2 * 2**30)"], nbytes=GIB)

    assert outcome.status == 1
    assert "MemoryError" in outcome.err
    assert outcome.is_crash


def test_a_row_s_counts_are_written_and_its_findings_fail_it(limited, tmp_path):
    here = Path(__file__).parent
    shutil.copy(here / "conftest.py", tmp_path)
    (tmp_path / "test_rows.py").write_text(
        "def test_good(row):\n    row.count('refused', 3)\n"
        "def test_bad(row):\n    row.find('a crash')\n"
    )
    results = tmp_path / "faults.json"
    asked = ["--seed", "7", "--results", str(results), "-p", "no:cacheprovider", "-c", os.devnull]
    command = [sys.executable, "-m", "pytest", "-q", str(tmp_path), "--rootdir", str(tmp_path)]

    outcome = limited(
        [*command, *asked],
        seconds=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(here.parent / "support")},
    )

    assert outcome.status == 1, outcome.out
    kept = json.loads(results.read_text())
    assert kept["seed"] == 7
    assert kept["rows"]["test_good"]["refused"] == 3
    assert kept["rows"]["test_bad"]["what"] == ["a crash"]
