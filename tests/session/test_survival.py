"""Whatever happens to a conversion, what is listed is whole and the next run is good.

The long form (50 kills, 20 races) runs with ``pytest -m long tests/session/test_survival.py``.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import tiny

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


def kill_once(source, home, delay):
    """Kill a conversion ``delay`` seconds after its start; whatever is listed then is whole."""
    process = start(source, home)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert_whole(home, len(Store(home).entries()))


def run(source, home):
    process = start(source, home)
    _, complaint = process.communicate(timeout=120)
    return process.returncode, complaint


def kills(source, home, count):
    started = time.monotonic()
    assert run(source, home)[0] == 0
    whole_run = time.monotonic() - started
    moments = random.Random(1)
    for _ in range(count):
        shutil.rmtree(home / "artifacts")
        kill_once(source, home, moments.uniform(0.2, 1.0) * whole_run)
        assert run(source, home)[0] == 0
        assert_whole(home, 1)
        assert [
            path.name for path in (home / "artifacts").iterdir() if "partial" in path.name
        ] == []


def races(source, home, count):
    for _ in range(count):
        shutil.rmtree(home / "artifacts", ignore_errors=True)
        processes = [start(source, home) for _ in range(2)]
        complaints = [process.communicate(timeout=120)[1] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], complaints
        assert_whole(home, 1)


def test_killed_at_a_random_moment(source, tmp_path):
    kills(source, tmp_path / "home", 2)


def test_two_processes_race(source, tmp_path):
    races(source, tmp_path / "home", 1)


@pytest.mark.long
def test_killed_at_50_random_moments(source, tmp_path):
    kills(source, tmp_path / "home", 50)


@pytest.mark.long
def test_20_races(source, tmp_path):
    races(source, tmp_path / "home", 20)


def test_an_interrupt_leaves_nothing(source, tmp_path):
    process = start(source, tmp_path / "home")
    while "converting the tokenizer" not in (line := process.stderr.readline()):
        assert line, process.wait()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in {0, 130}
    assert_whole(tmp_path / "home", 1 if process.returncode == 0 else 0)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 MB, nearly full."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs Linux and root to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_without_room_is_refused_with_the_numbers(source, small_disk):
    (small_disk / "ballast").write_bytes(bytes(50 * 2**20))
    status, complaint = run(source, small_disk / "home")
    assert status == 1
    assert "the artifact needs" in complaint
    assert "free some" in complaint
    assert_whole(small_disk / "home", 0)


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(source, small_disk):
    process = start(source, small_disk / "home")
    while "converting the tokenizer" not in (line := process.stderr.readline()):
        assert line, process.wait()
    with open(small_disk / "ballast", "wb", buffering=0) as ballast:  # noqa: PTH123 - unbuffered
        try:
            while True:
                ballast.write(bytes(2**16))
        except OSError:
            pass
    _, complaint = process.communicate(timeout=60)
    if process.returncode:
        assert "no space left" in complaint
        assert "Traceback" not in complaint
    assert_whole(small_disk / "home", 0 if process.returncode else 1)
    (small_disk / "ballast").unlink()
    assert run(source, small_disk / "home")[0] == 0
    assert_whole(small_disk / "home", 1)
