from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aipc.devices.counters.counter import Reading
from aipc.session_status import StatusPublisher

RADEON = Reading(
    "gpu",
    "AMD Radeon RX 7600",
    "amd",
    busy_share=0.87,
    memory_used_bytes=6_442_450_944,
    memory_total_bytes=8_573_157_376,
    power_w=143.0,
    frequency_mhz=2600,
)
SHY = Reading("npu", "Intel NPU (Meteor Lake)", "intel")


class Steady:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def read(self, now: float) -> Reading:
        return self._reading


@pytest.fixture
def counters(monkeypatch):
    """Counters of a machine with two accelerators, one of which tells nothing."""
    found = (Steady(RADEON), Steady(SHY))
    monkeypatch.setattr("aipc.devices.counters.watch.find_counters", lambda: found)


def test_one_reading_where_stdout_is_no_terminal(aipc, counters) -> None:
    lines = aipc("top", "--interval", "0.1").stdout.splitlines()
    assert lines[0].split() == ["DEVICE", "BUSY", "MEMORY", "POWER", "CLOCK", "NAME"]
    told = " ".join(lines[1].split())
    assert told == "gpu 87% 6.4 GB of 8.6 GB 143.0 W 2600 MHz AMD Radeon RX 7600"
    assert lines[2].split() == ["npu", "-", "-", "-", "-", *SHY.name.split()]
    assert lines[3].startswith("memory")
    assert max(map(len, lines)) <= 100


def test_sessions_are_shown_with_their_speed(aipc, counters, tmp_path: Path) -> None:
    session = StatusPublisher(tmp_path / "home/running", "SmolLM2-135M", "openvino", "NPU")
    session.begin()
    session.note(1234)
    time.sleep(0.01)
    session.end()
    lines = aipc("top", "--interval", "0.1").stdout.splitlines()
    row = lines[-1].split()
    assert lines[-2].split()[:3] == ["SESSION", "DEVICE", "TOKENS/S"]
    assert row[:2] == [str(os.getpid()), "npu"]
    assert float(row[2]) > 0
    assert row[3:] == ["1,234", "-", "SmolLM2-135M"]


def test_a_session_that_waits_for_its_first_token_has_no_speed(aipc, counters, tmp_path) -> None:
    session = StatusPublisher(tmp_path / "home/running", "tiny", "openvino", "NPU")
    assert aipc("top", "--interval", "0.1").stdout.splitlines()[-1].split()[2] == "idle"
    session.begin()
    assert aipc("top", "--interval", "0.1").stdout.splitlines()[-1].split()[2] == "-"


def test_json_lines_with_null_for_what_is_not_told(aipc, counters) -> None:
    outcome = aipc("top", "--json", "--count", "2", "--interval", "0.1")
    first, second = map(json.loads, outcome.stdout.splitlines())
    assert second["time"] > first["time"]
    npu = first["devices"][1]
    assert (npu["kind"], npu["busy_share"], npu["power_w"]) == ("npu", None, None)


@pytest.mark.parametrize("flag", [("--interval", "0"), ("--count", "0")])
def test_numbers_that_mean_nothing_are_wrong_usage(aipc, flag) -> None:
    assert aipc("top", *flag).status == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_on_a_terminal_it_is_drawn_again_and_again_until_ctrl_c(tmp_path: Path) -> None:
    import pty

    main, side = pty.openpty()
    program = "from aipc import cli; cli.main(['top', '--interval', '0.1'])"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=side,
        env={**os.environ, "AIPC_HOME": str(tmp_path), "TERM": "xterm"},
    ) as child:
        os.close(side)
        drawn = b""
        while drawn.count(b"memory") < 3:
            drawn += os.read(main, 4096)
        child.send_signal(2)
        assert child.wait(20) == 0
    os.close(main)


def test_nothing_of_a_vendors_is_loaded_and_it_is_quick(tmp_path: Path) -> None:
    program = (
        "import sys; from aipc import cli\n"
        "status = cli.run_command(['top', '--count', '1'])\n"
        "vendors = {'openvino', 'onnxruntime', 'transformers', 'huggingface_hub', 'rich'}\n"
        "assert not vendors & set(sys.modules), vendors & set(sys.modules)\n"
        "sys.exit(status)"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "AIPC_HOME": str(tmp_path)},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "cpu" in done.stdout
    assert time.perf_counter() - started < 10  # 0.8 s on an idle machine
