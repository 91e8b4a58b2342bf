from __future__ import annotations

import io
import subprocess
import sys

import click
import pytest

from aipc.cli.failure import describe
from aipc.errors import DeviceError, UsageError


@pytest.mark.parametrize(
    ("error", "line", "status"),
    [
        (DeviceError("no NPU", "ask for cpu"), "no NPU; ask for cpu", 1),
        (UsageError("no such thing"), "no such thing", 2),
        (DeviceError("two\nlines", "mend\tit"), "two lines; mend it", 1),
        (click.UsageError("Missing argument."), "missing argument; see `aipc --help`", 2),
        (KeyError("x"), "internal error: KeyError: 'x'; run again with --debug and report it", 1),
    ],
)
def test_an_error_is_one_line(error: Exception, line: str, status: int) -> None:
    assert describe(error) == (line, status)


def test_wrong_usage_names_the_commands_help(aipc) -> None:
    outcome = aipc("run", "--temprature", "1", "hello")
    assert outcome.status == 2
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("aipc: no such option")
    assert outcome.stderr.endswith("see `aipc run --help`\n")
    assert outcome.stderr.count("\n") == 1


def test_an_unknown_command_is_wrong_usage(aipc) -> None:
    outcome = aipc("rnu")
    assert outcome.status == 2
    assert "no such command 'rnu'" in outcome.stderr


def fail(*arguments: object, **options: object) -> None:
    raise DeviceError("no NPU", "ask for cpu") from OSError("the cause")


def test_an_error_of_ours_has_no_traceback(aipc, monkeypatch) -> None:
    monkeypatch.setattr("aipc.session.session.load", fail)
    outcome = aipc("run", "hello")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr == "aipc: no NPU; ask for cpu\n"


@pytest.mark.parametrize("arguments", [("--debug", "run", "hi"), ("run", "hi", "--debug")])
def test_debug_shows_where_and_why(aipc, monkeypatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.setattr("aipc.session.session.load", fail)
    outcome = aipc(*arguments)
    assert outcome.status == 1
    assert "Traceback" in outcome.stderr
    assert "OSError: the cause" in outcome.stderr
    assert outcome.stderr.endswith("aipc: no NPU; ask for cpu\n")


def test_a_defect_is_called_one(aipc, monkeypatch) -> None:
    monkeypatch.setattr("aipc.session.session.load", lambda *a, **o: 1 / 0)
    outcome = aipc("run", "hello")
    assert outcome.status == 1
    assert outcome.stderr.startswith("aipc: internal error: ZeroDivisionError")


def test_an_interruption_is_quiet(aipc, monkeypatch) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("aipc.session.session.load", interrupt)
    outcome = aipc("run", "hello")
    assert (outcome.status, outcome.stdout, outcome.stderr) == (130, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="has no broken pipes")
def test_a_reader_that_leaves_early_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "aipc", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
def test_a_full_disk_is_told() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "aipc", "models", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "aipc: can't write to stdout (No space left on device); make room, or send it elsewhere\n"
    )


def test_streams_take_every_character() -> None:
    program = "from aipc.cli.output import make_streams_utf8 as f; f(); print('\\U0001f600 é')"
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program],
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "PATH": ""},
        check=True,
    )
    assert io.BytesIO(done.stdout).read().decode("utf-8").strip() == "\U0001f600 é"
