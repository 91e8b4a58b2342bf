from __future__ import annotations

import io
import sys

import pytest

from aipc.cli.screen.progress_bar import display
from aipc.timing_spans import span


def report(progress) -> None:
    progress("fetching", 0, 0)
    for done in range(0, 101, 10):
        progress("converting", done * 10_000, 1_000_000)
    progress.notice("a notice [of its own]")


def test_a_pipe_gets_a_line_at_the_start_and_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with display() as progress:
        report(progress)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "fetching ...",
        "converting (1.0 MB) ...",
        "converting: done in 0.0 s",
        "a notice [of its own]",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_bars_with_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with display() as progress:
        report(progress)
    text = sys.stderr.getvalue()
    assert "1.0/1.0 MB" in text
    assert "a notice [of its own]" in text
    assert "\x1b[?25h" in text  # the cursor is shown again


def test_a_long_description_leaves_room_for_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with display() as progress:
        progress("checking " + "x" * 90, 100_000_000, 100_000_000)
    assert "100.0/100.0 MB" in sys.stderr.getvalue()


def test_no_color_is_honored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with display() as progress:
        report(progress)
    assert "\x1b[3" not in sys.stderr.getvalue()


def test_notices_alone_load_no_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with display() as progress:
        progress.notice("hello")
    assert sys.stderr.getvalue() == "hello\n"


def test_what_has_no_measure_is_a_line_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with display() as progress:
        with span("load", "loading on CPU"):
            assert "⠋ loading on CPU" in sys.stderr.getvalue()
        progress("converting", 500_000, 1_000_000)
        with span("inside", "what the bar shows anyway"):
            pass
        progress("converting", 1_000_000, 1_000_000)
        progress("exporting", 0, 0)
    text = sys.stderr.getvalue()
    assert "1.0/1.0 MB" in text
    assert "anyway" not in text
    assert text.index("1.0/1.0 MB") < text.index("⠋ exporting")
    assert text.endswith("\r\x1b[K")


def test_a_pipe_is_not_told_what_has_no_measure(capsys: pytest.CaptureFixture[str]) -> None:
    with display(), span("load", "loading on CPU"):
        pass
    assert capsys.readouterr().err == ""
