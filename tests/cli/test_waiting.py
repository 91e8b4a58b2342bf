from __future__ import annotations

import io
import sys
import time

import pytest

from aipc.cli.screen import output
from aipc.cli.screen.waiting import WaitingLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch):
    """Put a terminal in stderr's place; called in the test, as pytest sets stderr before that."""

    def terminal() -> Terminal:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return terminal


def test_it_says_what_is_done_at_once_and_is_gone_afterwards(opened) -> None:
    terminal = opened()
    with WaitingLine() as line:
        line.show("loading on CPU")
        assert terminal.getvalue().endswith("⠋ loading on CPU")
        line.show("arranging the weights")
        assert "\r\x1b[K⠋ arranging the weights" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
    ended = terminal.getvalue()
    time.sleep(0.25)
    assert terminal.getvalue() == ended


def test_it_moves(opened) -> None:
    terminal = opened()
    with WaitingLine() as line:
        line.show("loading")
        time.sleep(0.5)
    assert "⠙ loading" in terminal.getvalue()


def test_a_line_that_is_too_long_stays_one_line(opened) -> None:
    terminal = opened()
    with WaitingLine() as line:
        line.show("x" * 100)
        longest = max(map(len, terminal.getvalue().split("\r")))
    assert longest - len("\x1b[K") < 40


def test_a_notice_is_written_above_it(opened) -> None:
    terminal = opened()
    with WaitingLine() as line:
        line.show("loading")
        output.notice("by the way")
        assert "\r\x1b[Kby the way\n" in terminal.getvalue()
    output.notice("after it")
    assert terminal.getvalue().endswith("\r\x1b[Kafter it\n")


def test_a_pipe_and_a_dumb_terminal_see_nothing(opened, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = opened()
    monkeypatch.setenv("TERM", "dumb")
    with WaitingLine() as line:
        line.show("loading")
        assert line.end() is False
    assert terminal.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setenv("TERM", "xterm")
    with WaitingLine() as line:
        line.show("loading")
    assert sys.stderr.getvalue() == ""
