"""What is written for each manager of services, judged by its own validator where it is here."""

from __future__ import annotations

import os
import plistlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from aipc.serve.service.launchd import Launchd
from aipc.serve.service.service import ServiceCommand, serve_command
from aipc.serve.service.systemd import Systemd
from aipc.serve.service.task_scheduler import TaskScheduler

ODD = 'a "model", 100% of $HOME\\x'
SCHEMA = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


@pytest.fixture
def command(tmp_path):
    program = tmp_path / "my env/ai%pc"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    given = {"AIPC_HOME": "/my models/100%"}
    return ServiceCommand((str(program), "serve", "-m", ODD), tmp_path, given)


@pytest.fixture
def verify(tmp_path):
    """What systemd says of a unit; nothing where it is sound."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not here")
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)

    def says(content: bytes) -> str:
        unit = tmp_path / "aipc.service"
        unit.write_bytes(content)
        done = subprocess.run(
            ["systemd-analyze", "--user", "verify", unit],
            env={**os.environ, "XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_COLORS": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    return says


def test_systemd_finds_its_unit_sound(command, verify) -> None:
    unit = Systemd().describe(command)
    assert verify(unit) == ""
    assert "nonsense" in verify(unit.replace(b"KillMode=mixed", b"KillMode=nonsense"))
    assert "not executable" in verify(unit.replace(b"ai%%pc", b"absent"))


def test_systemd_is_given_every_sign_as_it_stands(command, tmp_path) -> None:
    unit = Systemd(tmp_path).describe(command).decode()
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert line.endswith(r'"serve" "-m" "a \"model\", 100%% of $$HOME\\x"')
    assert 'Environment="AIPC_HOME=/my models/100%%"\n' in unit
    assert Systemd(tmp_path).file == tmp_path / "systemd/user/aipc.service"


def test_launchd_reads_back_what_was_meant(command, tmp_path) -> None:
    manager = Launchd(tmp_path)
    read = plistlib.loads(manager.describe(command))
    assert read["ProgramArguments"] == list(command.arguments)
    assert read["EnvironmentVariables"] == {"AIPC_HOME": "/my models/100%"}
    assert read["KeepAlive"] == {"SuccessfulExit": False}
    assert manager.file.stem == read["Label"] == manager.state()[-1].rpartition("/")[2]


def test_a_task_of_windows_starts_at_logon_and_is_never_ended_by_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("USERDOMAIN", "PC")
    monkeypatch.setenv("USERNAME", "Ann")
    plain = ServiceCommand(("C:\\My Env\\aipc.exe", "serve", "-m", "a b"), tmp_path)
    task = ET.fromstring(TaskScheduler(tmp_path).describe(plain).decode("utf-16"))
    texts = {
        "Triggers/LogonTrigger/UserId": "PC\\Ann",
        "Principals/Principal/LogonType": "InteractiveToken",
        "Settings/ExecutionTimeLimit": "PT0S",
        "Settings/StopIfGoingOnBatteries": "false",
        "Actions/Exec/Command": "C:\\My Env\\aipc.exe",
        "Actions/Exec/Arguments": 'serve -m "a b"',
    }
    for path, wanted in texts.items():
        assert task.findtext(SCHEMA + f"/{SCHEMA}".join(path.split("/"))) == wanted


def test_a_task_of_windows_sets_what_it_carries_over(tmp_path) -> None:
    given = {"AIPC_HOME": "D:\\100% models"}
    command = ServiceCommand(("C:\\aipc.exe", "serve"), tmp_path, given)
    text = TaskScheduler(tmp_path).describe(command).decode("utf-16")
    exec_ = ET.fromstring(text).find(f"{SCHEMA}Actions/{SCHEMA}Exec")
    assert exec_.findtext(f"{SCHEMA}Command") == "cmd.exe"
    wanted = '/d /s /c "set "AIPC_HOME=D:\\100% models"&& C:\\aipc.exe serve"'
    assert exec_.findtext(f"{SCHEMA}Arguments") == wanted


def test_a_task_of_windows_that_runs_is_ended_before_it_is_run_anew(tmp_path) -> None:
    made, ended, run = TaskScheduler(tmp_path).start()
    assert made[:2] == ("schtasks", "/Create")
    assert ended[-1].startswith("Stop-ScheduledTask 'aipc serve' ")
    assert run == ("schtasks", "/Run", "/TN", "aipc serve")


def test_the_service_runs_this_installation_and_carries_no_secret(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AIPC_HOME", "/models")
    monkeypatch.setenv("AIPC_API_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    command = serve_command(["-m", "x"], tmp_path)
    assert Path(command.arguments[0]).parent == Path(sys.executable).parent
    assert command.arguments[-3:] == ("serve", "-m", "x")
    assert command.environment["AIPC_HOME"] == "/models"
    assert "secret" not in command.environment.values()
