from __future__ import annotations

import io
import sys

import pytest

from aipc.cli.stdin import read_prompt
from aipc.errors import UsageError


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch):
    def put(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))

    return put


@pytest.mark.parametrize(
    ("argument", "data", "expected"),
    [
        ("hello", b"", "hello"),
        (None, b"from a pipe\n", "from a pipe"),
        ("-", b"from a pipe\r\n", "from a pipe"),
        ("sum up:", b"line 1\nline 2\n", "sum up:\n\nline 1\nline 2"),
        ("", b"from a pipe", "from a pipe"),
        (None, b"\xef\xbb\xbfgr\xc3\xbc\xc3\x9fe", "grüße"),
    ],
)
def test_argument_and_stdin(piped, argument: str | None, data: bytes, expected: str) -> None:
    piped(data)
    assert read_prompt(argument) == expected


@pytest.mark.parametrize(("argument", "data"), [(None, b""), ("", b""), ("-", b"\n"), (" ", b"  ")])
def test_nothing_is_wrong_usage(piped, argument: str | None, data: bytes) -> None:
    piped(data)
    with pytest.raises(UsageError, match="the prompt is empty"):
        read_prompt(argument)


def test_bytes_that_are_no_text(piped) -> None:
    piped(b"caf\xe9")
    with pytest.raises(UsageError, match=r"not UTF-8 text \(byte 3"):
        read_prompt(None)
    piped(b"")
    with pytest.raises(UsageError, match="the command line is not UTF-8"):
        read_prompt("caf\udce9")


def test_a_terminal_is_read_only_when_asked(piped, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(b"typed")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert read_prompt("hello") == "hello"
    assert read_prompt("-") == "typed"


def test_a_program_without_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert read_prompt("hello") == "hello"
