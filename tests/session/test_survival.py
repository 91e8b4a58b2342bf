"""A conversion that is interrupted, or finds no room; `tests/faults` kills and races it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import tiny
from small_disk import small_disk

from aipc.artifact import manifest
from aipc.models.store import Store

RECIPE = ("--weight-format", "int4", "--group-size", "32")
CONVERT = "import sys; from aipc.cli import main; main(sys.argv[1:])"


@pytest.fixture
def source(tmp_path):
    """A checkpoint that takes long enough to be killed at."""
    config = tiny.PHI3 | {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 12}
    return tiny.write_checkpoint(tmp_path / "phi3", config, tiny.random_tensors(config))


def start(source, home):
    command = [sys.executable, "-c", CONVERT, "convert", str(source), *RECIPE]
    environment = os.environ | {"AIPC_HOME": str(home)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def assert_whole(home, count):
    entries = Store(home).entries()
    assert len(entries) == count
    for entry in entries:
        assert manifest.verify(entry.path) == []


def run(source, home):
    process = start(source, home)
    _, complaint = process.communicate(timeout=120)
    return process.returncode, complaint


def test_an_interrupt_leaves_nothing(source, tmp_path):
    process = start(source, tmp_path / "home")
    while "converting the tokenizer" not in (line := process.stderr.readline()):
        assert line, process.wait()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in {0, 130}
    assert_whole(tmp_path / "home", 1 if process.returncode == 0 else 0)


@pytest.fixture
def disk(tmp_path):
    """A disk of 64 MB."""
    with small_disk(tmp_path / "disk", 64 * 2**20) as mounted:
        if mounted is None:
            pytest.skip("mounting is not permitted here")
        yield mounted


def test_a_disk_without_room_is_refused_with_the_numbers(source, disk):
    (disk.folder / "ballast").write_bytes(bytes(50 * 2**20))
    status, complaint = run(source, disk.folder / "home")
    assert status == 1
    assert "the artifact needs" in complaint
    assert "free some" in complaint
    assert_whole(disk.folder / "home", 0)


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(source, disk):
    process = start(source, disk.folder / "home")
    while "converting the tokenizer" not in (line := process.stderr.readline()):
        assert line, process.wait()
    ballast = disk.fill()
    _, complaint = process.communicate(timeout=60)
    if process.returncode:
        assert "no space left" in complaint
        assert "Traceback" not in complaint
    assert_whole(disk.folder / "home", 0 if process.returncode else 1)
    ballast.unlink()
    assert run(source, disk.folder / "home")[0] == 0
    assert_whole(disk.folder / "home", 1)
