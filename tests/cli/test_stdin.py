from __future__ import annotations

import io
import sys

import pytest

from aipc.cli.answering.stdin import read_message, read_prompt
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


def read(*lines: str) -> str:
    rest = iter(lines)

    def read_line(prompt: str) -> str:
        try:
            return next(rest)
        except StopIteration:
            raise EOFError from None

    message = read_message(read_line)
    assert not list(rest), "some lines were not read"
    return message


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["hello"], "hello"),
        (["  "], "  "),
        (["one \\", "two\\", "three"], "one \ntwo\nthree"),
        (["one\\"], "one\n"),
        (['"""', "one", "", "two", '"""'], "one\n\ntwo"),
        (['"""one', 'two"""'], "one\ntwo"),
        (['"""one"""'], "one"),
        (['"""one', "two"], "one\ntwo"),
        (['say "hi"'], 'say "hi"'),
    ],
)
def test_lines_make_a_message(lines: list[str], expected: str) -> None:
    assert read(*lines) == expected


def test_the_end_of_the_input_is_no_message() -> None:
    with pytest.raises(EOFError):
        read()
