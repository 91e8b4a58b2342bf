from __future__ import annotations

import errno
import io
import subprocess
import sys

import click
import pytest

from aipc.cli.screen import output
from aipc.cli.screen.output import describe_failure
from aipc.errors import DeviceError, UsageError


def test_a_table_is_aligned_and_folds_prose(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_table(
        ("NAME", "SIZE", "WHAT"),
        [("a", "1 B", "word " * 30), ("longer", "10 GB", "")],
        right={"SIZE"},
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "NAME     SIZE  WHAT"
    assert lines[1].startswith("a         1 B  word word")
    assert lines[2].startswith("               word")
    assert lines[3] == "longer  10 GB"
    assert max(map(len, lines)) <= 100
    assert " ".join(lines).count("word") == 30


def test_a_table_never_breaks_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    name = "x-" * 60
    output.write_table(("SIZE", "NAME"), [("1 B", name)])
    assert capsys.readouterr().out.splitlines()[1] == f"1 B   {name}"


def test_a_narrow_terminal_folds_earlier(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    output.write_table(("A", "B"), [("a", "word " * 30)])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 40


def test_json_is_one_line_in_any_script(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    output.write_json({"text": "größte\n今日", "path": tmp_path})
    text = capsys.readouterr().out
    assert text == f'{{"text": "größte\\n今日", "path": "{tmp_path}"}}\n'


def test_a_terminal_gets_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a\tb\x1b[31mred\x07\x9b2J\r\n"
    assert output.printable(text) == text
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert output.printable(text) == "a\tb[31mred2J\n"


LESS_MEMORY = "close other programs, or take a smaller model or --weight-format int4"


@pytest.mark.parametrize(
    ("error", "line", "status"),
    [
        (DeviceError("no NPU", "ask for cpu"), "no NPU; ask for cpu", 1),
        (UsageError("no such thing"), "no such thing", 2),
        (DeviceError("two\nlines", "mend\tit"), "two lines; mend it", 1),
        (click.UsageError("Missing argument."), "missing argument; see `aipc --help`", 2),
        (RuntimeError("bad_alloc"), f"out of memory (bad_alloc); {LESS_MEMORY}", 1),
        (
            OSError(errno.EROFS, "Read-only", "a.json"),
            "can't write 'a.json' (Read-only); make room, or check its owner and permissions",
            1,
        ),
        (KeyError("x"), "internal error: KeyError: 'x'; run again with --debug and report it", 1),
    ],
)
def test_an_error_is_one_line(error: Exception, line: str, status: int) -> None:
    assert describe_failure(error) == (line, status)


def test_wrong_usage_names_the_commands_help(aipc) -> None:
    outcome = aipc("run", "--temprature-of-the-sea", "1", "hello")
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
    monkeypatch.setattr("aipc.session.loading.load", fail)
    outcome = aipc("run", "hello")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr == "aipc: no NPU; ask for cpu\n"


@pytest.mark.parametrize("arguments", [("--debug", "run", "hi"), ("run", "hi", "--debug")])
def test_debug_shows_where_and_why(aipc, monkeypatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.setattr("aipc.session.loading.load", fail)
    outcome = aipc(*arguments)
    assert outcome.status == 1
    assert "Traceback" in outcome.stderr
    assert "OSError: the cause" in outcome.stderr
    assert outcome.stderr.endswith("aipc: no NPU; ask for cpu\n")


def test_a_defect_is_called_one(aipc, monkeypatch) -> None:
    monkeypatch.setattr("aipc.session.loading.load", lambda *a, **o: 1 / 0)
    outcome = aipc("run", "hello")
    assert outcome.status == 1
    assert outcome.stderr.startswith("aipc: internal error: ZeroDivisionError")


def test_an_interruption_is_quiet(aipc, monkeypatch) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("aipc.session.loading.load", interrupt)
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
    program = (
        "from aipc.cli.screen.output import make_streams_utf8 as f; f(); print('\\U0001f600 é')"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program],
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "PATH": ""},
        check=True,
    )
    assert io.BytesIO(done.stdout).read().decode("utf-8").strip() == "\U0001f600 é"
