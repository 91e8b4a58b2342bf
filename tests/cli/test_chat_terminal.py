"""The chat as a person has it: under a pseudo-terminal, with Ctrl-C and Ctrl-D."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("needs pseudo-terminals", allow_module_level=True)

import pty

CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"
PROGRAM = Path(__file__).with_name("stand_in.py")


class Terminal:
    """A program under a pseudo-terminal, and all that it has written so far."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it
            os.execve(sys.executable, [sys.executable, str(PROGRAM), *arguments], environment)
        self._text = ""
        self._seen = 0

    @property
    def text(self) -> str:
        return self._text

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, text: str, seconds: float = 20.0) -> None:
        """Wait for ``text`` after what was expected before."""
        end = time.monotonic() + seconds
        while (at := self._text.find(text, self._seen)) < 0:
            if not self._read(end - time.monotonic()):
                pytest.fail(f"no {text!r} in {self._text[self._seen :]!r}")
        self._seen = at + len(text)

    def leave(self, seconds: float = 20.0) -> int:
        """Wait for its end; the exit status."""
        end = time.monotonic() + seconds
        while self._read(end - time.monotonic()):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self) -> None:
        os.close(self._fd)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(seconds, 0))
        try:
            data = os.read(self._fd, 4096) if ready else b""
        except OSError:  # how Linux says that the other side is gone
            return False
        self._text += data.decode()
        return bool(data)


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened = []

    def start(*arguments: str, **fields: Any) -> Terminal:
        environment = {
            **os.environ,
            "STAND_IN": json.dumps(fields),
            "AIPC_HOME": str(tmp_path),
            "TERM": "dumb",
        }
        terminal = Terminal(["chat", *arguments], environment)
        opened.append(terminal)
        terminal.expect("/help shows the commands.\r\n")
        terminal.expect("> ")
        return terminal

    yield start
    for terminal in opened:
        terminal.close()


def test_a_conversation_and_the_history_of_lines(chat) -> None:
    terminal = chat(answer="answer {turns} to {last}.")
    terminal.type("first\n")
    terminal.expect("answer 1 to first.\r\n> ")
    terminal.type(UP + " again\n")
    terminal.expect("answer 3 to first again.\r\n> ")
    terminal.type(CTRL_D)
    assert terminal.leave() == 0


def test_thinking_stands_between_two_lines_unless_it_is_hidden(chat) -> None:
    terminal = chat(answer="<think>Hm, {last}.</think>Paris.")
    terminal.type("one\n")
    terminal.expect("[thinking]\r\nHm, one.")
    terminal.expect("\r\n[end of thinking]\r\nParis.\r\n> ")
    terminal.type(CTRL_D)
    assert terminal.leave() == 0
    terminal = chat("--hide-thinking", answer="<think>Hm, {last}.</think>Paris.")
    terminal.type("one\n")
    terminal.expect("Paris.\r\n> ")
    terminal.type(CTRL_D)
    assert terminal.leave() == 0
    assert "Hm" not in terminal.text


def test_ctrl_c_stops_the_answer_and_not_the_chat(chat, tmp_path: Path) -> None:
    terminal = chat(answer="abcdefghijklmnopqrstuvwxyz" * 40, delay=0.02)
    terminal.type("first\n")
    terminal.expect("abc")
    terminal.type(CTRL_C)
    terminal.expect("[stopped]\r\n> ")
    saved = tmp_path / "talk.json"
    terminal.type(f"/save {saved}\n")
    terminal.expect("[saved to")
    told = json.loads(saved.read_text(encoding="utf-8"))
    assert told["messages"][0]["content"] == "first"
    assert told["messages"][1]["stopped"] is True
    assert told["messages"][1]["content"].startswith("abc")
    terminal.type("/exit\n")
    assert terminal.leave() == 0


def test_ctrl_c_before_the_first_word_takes_the_question_back(chat) -> None:
    terminal = chat(answer="answer {turns}.", delay=0.7)
    terminal.type("first\n")
    terminal.expect("first\r\n")
    time.sleep(0.2)
    terminal.type(CTRL_C)
    terminal.expect("^C\r\n[stopped before the first word; the question is taken back]\r\n> ")
    terminal.type("/exit\n")
    assert terminal.leave() == 0


def test_ctrl_c_drops_a_typed_line_and_leaves_on_an_empty_one(chat) -> None:
    terminal = chat(answer="answer to {last}.")
    terminal.type("half a li")
    terminal.expect("half a li")
    time.sleep(0.3)  # the echo comes before readline waits again for keys and signals
    terminal.type(CTRL_C)
    terminal.expect("> ")
    terminal.type("whole\n")
    terminal.expect("answer to whole.\r\n> ")
    time.sleep(0.3)
    terminal.type(CTRL_C)
    assert terminal.leave() == 0


def test_a_failure_does_not_end_it(chat) -> None:
    terminal = chat(answer="ok", context=30)
    terminal.type("x" * 40 + "\n")
    terminal.expect("aipc: the prompt is too long: 40 tokens")
    terminal.expect("> ")
    terminal.type("short\n")
    terminal.expect("ok\r\n> ")
    terminal.type(CTRL_D)
    assert terminal.leave() == 0


def test_ctrl_c_during_a_run_ends_the_program_quietly(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "STAND_IN": json.dumps({"answer": "abcdefgh" * 100, "delay": 0.02}),
        "AIPC_HOME": str(tmp_path),
    }
    terminal = Terminal(["run", "x"], environment)
    terminal.expect("abc")
    terminal.type(CTRL_C)
    assert terminal.leave() == 130
    terminal.expect("\r\n")
    assert "Traceback" not in terminal._text
    terminal.close()


def test_the_question_may_come_before_the_model_is_ready(chat) -> None:
    terminal = chat(answer="answer to {last}.", loading_s=1.0)
    terminal.type("/system Be brief.\n")
    terminal.expect("[system message set]\r\n> ")
    terminal.type("early\n")
    terminal.expect("[still loading; the answer comes as soon as that is done]\r\n")
    terminal.expect("answer to early.\r\n> ")
    terminal.type("late\n")
    terminal.expect("answer to late.\r\n> ")
    assert terminal._text.count("still loading") == 1
    terminal.type(CTRL_D)
    assert terminal.leave() == 0


@pytest.mark.parametrize(
    ("keys", "status"), [(CTRL_C, 0), (CTRL_D, 0), ("/exit\n", 0), ("a question\n", 130)]
)
def test_one_may_leave_while_it_loads(chat, keys, status) -> None:
    terminal = chat(loading_s=60.0)
    time.sleep(0.3)  # readline waits for keys and signals
    started = time.monotonic()
    terminal.type(keys)
    if status:
        terminal.expect("[still loading")
        terminal.type(CTRL_C)
    assert terminal.leave() == status
    assert time.monotonic() - started < 5
    assert "Traceback" not in terminal._text


@pytest.mark.parametrize("typed", ["", "half a question"])
def test_a_model_that_can_not_be_loaded_ends_the_chat_at_once(chat, typed) -> None:
    terminal = chat(loading_s=0.8, refuses="the model is broken")
    terminal.type(typed)
    terminal.expect("aipc: the model is broken\r\n")
    assert terminal.leave() == 1
    assert terminal._text.count("the model is broken") == 1


def test_a_question_that_waits_hears_why_there_is_no_answer(chat) -> None:
    terminal = chat(loading_s=0.8, refuses="the model is broken")
    terminal.type("early\n")
    terminal.expect("[still loading")
    terminal.expect("aipc: the model is broken\r\n")
    assert terminal.leave() == 1
    assert terminal._text.count("the model is broken") == 1
