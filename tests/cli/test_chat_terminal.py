"""The chat as a person has it: under a pseudo-terminal, its screen read as a person reads it."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("needs pseudo-terminals", allow_module_level=True)

from seen_terminal import CTRL_C, CTRL_D, ENTER, PASTE, PASTED, UP, SeenTerminal

PROGRAM = Path(__file__).with_name("stand_in.py")
LETTERS = "abcdefghijklmnopqrstuvwxyz "
TAKEN_BACK = "[stopped before the first word; the question is taken back]"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., SeenTerminal]]:
    """Start a command with the stand-in session of the given fields."""
    terminals = []

    def start(
        *arguments: str,
        into: Path | None = None,
        term: str = "xterm-256color",
        size: tuple[int, int] = (80, 24),
        **fields: Any,
    ) -> SeenTerminal:
        environment = {
            **os.environ,
            "STAND_IN": json.dumps(fields),
            "AIPC_HOME": str(tmp_path / "home"),
            "TERM": term,
        }
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        command = [sys.executable, str(PROGRAM), *arguments]
        if into is not None:
            command = ["/bin/sh", "-c", 'exec "$@" > "$0"', str(into), *command]
        terminals.append(SeenTerminal(command, environment, *size))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


@pytest.fixture
def chat(opened) -> Callable[..., SeenTerminal]:
    """Start a chat, and wait until its model is ready, unless that takes its time."""

    def start(*arguments: str, **fields: Any) -> SeenTerminal:
        terminal = opened("chat", *arguments, **fields)
        terminal.see("/help")
        if "loading_s" not in fields:
            terminal.see("[ready after")
        terminal.see("\n>")
        return terminal

    return start


def typed(terminal: SeenTerminal, text: str) -> None:
    """Type it and see it typed, then Enter: what comes before a prompt is not echoed."""
    terminal.type(text)
    terminal.see(text[:60])  # a path may be longer than the terminal is wide
    terminal.type(ENTER)


def leave(terminal: SeenTerminal) -> None:
    terminal.see_end(">")
    terminal.type(CTRL_D)
    assert terminal.leave() == 0
    assert terminal.is_tidy()


def test_a_conversation_and_the_history_of_lines(chat) -> None:
    terminal = chat(answer="answer {turns} to {last}.")
    typed(terminal, "first")
    terminal.see_end("> first", "answer 1 to first.", ">")
    terminal.type(UP + " again" + ENTER)
    terminal.see_end("> first again", "answer 3 to first again.", ">")
    leave(terminal)


def test_the_chat_says_when_it_is_ready_and_what_it_waits_for(chat) -> None:
    terminal = chat(loading_s=4.0)
    terminal.see_end("loading on CPU (fake)")  # at the bottom, while one types
    typed(terminal, "/system Be brief.")
    terminal.see("[system message set]")
    terminal.type("a question")
    terminal.see("[ready after")
    terminal.see_end("> a question")
    terminal.type(ENTER)
    terminal.see_end("> a question", "Paris.", ">")
    assert "loading on" not in terminal.text
    assert "a notice of the worker" in terminal.text
    leave(terminal)


def test_the_question_may_come_before_the_model_is_ready(chat) -> None:
    terminal = chat(answer="answer to {last}.", loading_s=3.0)
    typed(terminal, "early")
    terminal.see("⠋ loading on CPU (fake)")
    terminal.see_end("answer to early.", ">")
    assert "⠋" not in terminal.text
    leave(terminal)


def test_the_wait_for_the_first_word_is_seen_and_gone_with_it(chat) -> None:
    terminal = chat(answer="So.", delay=0.5)
    terminal.type("x" * 1800 + ENTER)
    terminal.see("⠋ computing a prompt of 1,800 tokens")
    terminal.see_end("So.", ">")
    assert "computing" not in terminal.text
    leave(terminal)


def test_several_pasted_lines_are_one_message(chat, tmp_path: Path) -> None:
    terminal = chat(answer="ok")
    terminal.type(f"{PASTE}sum up:\n\tone \\\n/two\n{PASTED}")
    terminal.see("> sum up:")
    terminal.see(". /two")
    terminal.type(ENTER)
    terminal.see_end("ok", ">")
    typed(terminal, f"/save {tmp_path / 'talk.json'}")
    terminal.see("[saved to")
    told = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    assert told["messages"][0]["content"] == "sum up:\n\tone \\\n/two"
    leave(terminal)


def test_what_is_pasted_while_an_answer_comes_is_one_message_too(chat) -> None:
    terminal = chat(answer="{turns} turns, so far " + "and on " * 10, delay=0.02)
    typed(terminal, "first")
    terminal.see("1 turns")
    terminal.type(f"{PASTE}second\nwhole{PASTED}{ENTER}")
    terminal.see("3 turns")
    terminal.see_end(">")
    assert [line for line in terminal.lines if line.startswith((">", ". "))] == [
        "> first",
        "> second",
        ". whole",
        ">",
    ]
    leave(terminal)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (f"one \\{ENTER}two{ENTER}", "one \ntwo"),
        (f'"""one{ENTER}{ENTER}two"""{ENTER}', "one\n\ntwo"),
        (f"one\x1b{ENTER}two{ENTER}", "one\ntwo"),
    ],
)
def test_several_lines_can_be_typed(chat, tmp_path: Path, keys: str, message: str) -> None:
    terminal = chat(answer="ok")
    terminal.type(keys)
    terminal.see_end("ok", ">")
    typed(terminal, f"/save {tmp_path / 'talk.json'}")
    terminal.see("[saved to")
    told = json.loads((tmp_path / "talk.json").read_text("utf-8"))
    assert told["messages"][0]["content"] == message
    leave(terminal)


def test_history_is_kept_for_its_owner_alone_across_runs(chat, tmp_path: Path) -> None:
    terminal = chat(answer="ok")
    typed(terminal, "what I said before")
    terminal.see_end("ok", ">")
    leave(terminal)
    kept = tmp_path / "home" / "chat_history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    terminal = chat(answer="ok")
    terminal.type(UP)
    terminal.see_end("> what I said before")
    terminal.type(CTRL_C)
    leave(terminal)


def test_no_history_is_kept_where_none_is_wanted(chat, tmp_path: Path) -> None:
    terminal = chat("--no-history", answer="ok")
    typed(terminal, "a secret")
    terminal.see_end("ok", ">")
    terminal.type(UP)
    terminal.see_end("> a secret")  # of this run
    terminal.type(CTRL_C)
    leave(terminal)
    assert not (tmp_path / "home" / "chat_history").exists()


def test_markdown_is_rendered(chat) -> None:
    answer = (
        "# Title\n\nSome **bold** and *slanted* words.\n\n- one\n- two\n\n```python\nx = 1\n```\n"
    )
    terminal = chat(answer=answer, delay=0.005)
    typed(terminal, "go")
    terminal.see_end(" • two", "", "x = 1", ">")
    assert "**" not in terminal.text
    assert "```" not in terminal.text
    assert terminal.is_styled("bold", "bold")
    assert terminal.is_styled("slanted", "italics")
    assert not terminal.is_styled("Some", "bold")
    leave(terminal)


def test_markdown_is_left_as_it_is_where_that_is_wanted(chat) -> None:
    terminal = chat("--no-markdown", answer="Some **bold** words.")
    typed(terminal, "go")
    terminal.see_end("Some **bold** words.", ">")
    leave(terminal)


@pytest.mark.parametrize("flag", ["--markdown", "--no-markdown"])
def test_an_answer_is_broken_between_words(chat, flag) -> None:
    loops = "--no-repetition-detection"
    terminal = chat(flag, loops, size=(40, 24), answer="wonderful words " * 8, delay=0.002)
    typed(terminal, "go")
    terminal.see_end(*["wonderful words wonderful words"] * 4, ">")
    leave(terminal)


def test_an_answer_longer_than_the_screen_is_whole_above_it(chat) -> None:
    paragraph = " ".join(f"word{at}" for at in range(150))
    items = "\n".join(f"{at}. item" for at in range(1, 41))
    answer = f"{paragraph}\n\n{items}\n\nEnd."
    terminal = chat("--max-new-tokens", "9999", answer=answer, delay=0.0005, size=(60, 12))
    typed(terminal, "go")
    terminal.see_end("End.", ">", seconds=60)
    words = " ".join(terminal.text.split())
    assert words.count(paragraph) == 1
    for at in range(1, 41):
        assert words.count(f" {at} item") == 1
    leave(terminal)


def test_the_terminal_may_change_its_size_while_it_answers(chat) -> None:
    answer = " ".join(f"word{at}" for at in range(90))
    terminal = chat(answer=answer + "\n\nEnd.", delay=0.004, size=(50, 24))
    typed(terminal, "go")
    terminal.see("word15")
    terminal.resize(70, 24)
    terminal.see("word40")
    terminal.resize(40, 24)
    terminal.see_end("End.", ">")
    shown = terminal.lines[terminal.lines.index("> go") + 1 : -3]
    assert " ".join(shown).split() == answer.split()
    assert max(map(len, shown)) <= 40
    leave(terminal)


def test_controls_of_an_answer_do_not_reach_the_terminal(chat) -> None:
    terminal = chat(answer="be\x1b[2Jfore \x07after")
    typed(terminal, "go")
    terminal.see_end("be[2Jfore after", ">")
    leave(terminal)


def test_thinking_stands_between_two_lines_unless_it_is_hidden(chat) -> None:
    terminal = chat(answer="<think>Hm, {last}.</think>Paris.")
    typed(terminal, "one")
    terminal.see_end("> one", "[thinking]", "Hm, one.", "[end of thinking]", "Paris.", ">")
    leave(terminal)
    terminal = chat("--hide-thinking", answer="<think>Hm, {last}.</think>Paris.")
    typed(terminal, "one")
    terminal.see_end("> one", "Paris.", ">")
    leave(terminal)


def test_ctrl_c_stops_the_answer_and_not_the_chat(chat, tmp_path: Path) -> None:
    terminal = chat(answer=LETTERS * 40, delay=0.02)
    typed(terminal, "first")
    terminal.see("abc")
    terminal.type(CTRL_C)
    terminal.see_end("[stopped]", ">")
    saved = tmp_path / "talk.json"
    typed(terminal, f"/save {saved}")
    terminal.see("[saved to")
    told = json.loads(saved.read_text(encoding="utf-8"))
    assert told["messages"][0]["content"] == "first"
    assert told["messages"][1]["stopped"] is True
    assert told["messages"][1]["content"].startswith("abc")
    assert "^C" not in terminal.text
    typed(terminal, "/exit")
    assert terminal.leave() == 0
    assert terminal.is_tidy()


def test_ctrl_c_before_the_first_word_takes_the_question_back(chat) -> None:
    terminal = chat(answer="answer {turns}.", delay=1.5)
    typed(terminal, "first")
    terminal.see("⠋ computing a prompt of 5 tokens")
    terminal.type(CTRL_C)
    terminal.see_end("> first", TAKEN_BACK, ">")
    typed(terminal, "/regenerate")
    terminal.see_end("aipc: nothing was asked yet; ask a question first", ">")
    typed(terminal, "/exit")
    assert terminal.leave() == 0
    assert terminal.is_tidy()


def test_ctrl_c_while_a_question_waits_for_the_model_takes_it_back(chat) -> None:
    terminal = chat(answer="answer to {last}.", loading_s=4.0)
    typed(terminal, "early")
    terminal.see("⠋ loading on CPU (fake)")
    terminal.type(CTRL_C)
    terminal.see(TAKEN_BACK)
    typed(terminal, "later")
    terminal.see_end("answer to later.", ">")
    leave(terminal)


def test_ctrl_c_drops_a_typed_line_and_leaves_on_an_empty_one(chat) -> None:
    terminal = chat(answer="answer to {last}.")
    terminal.type("half a li")
    terminal.see_end("> half a li")
    terminal.type(CTRL_C)
    terminal.see_end("> half a li", ">")
    typed(terminal, "whole")
    terminal.see_end("answer to whole.", ">")
    terminal.type(CTRL_C)
    assert terminal.leave() == 0
    assert terminal.is_tidy()


def test_a_failure_does_not_end_it(chat) -> None:
    terminal = chat(answer="ok", context=30)
    typed(terminal, "x" * 40)
    terminal.see("aipc: the prompt is too long: 40 tokens")
    typed(terminal, "short")
    terminal.see_end("ok", ">")
    leave(terminal)


def test_ctrl_c_during_a_run_ends_the_program_quietly(opened) -> None:
    terminal = opened("run", "x", answer="abcdefgh" * 100, delay=0.02)
    terminal.see("abc")
    terminal.type(CTRL_C)
    assert terminal.leave() == 130
    assert "Traceback" not in terminal.text
    assert terminal.cursor[1] == 0


def test_ctrl_c_in_a_run_before_the_first_word_leaves_nothing(opened) -> None:
    terminal = opened("run", "hello", answer="abc", delay=5.0)
    terminal.see("⠋ computing a prompt of 5 tokens")
    terminal.type(CTRL_C)
    assert terminal.leave() == 130
    assert terminal.lines[0] == "fetching the stand-in"
    assert [line[:8] for line in terminal.lines[1:]] == ["fetching"]  # the bar, at its end
    assert terminal.is_tidy()


@pytest.mark.parametrize("command", [("run", "hello"), ("chat",)])
def test_ctrl_c_before_the_model_is_loaded_leaves_no_line(opened, command) -> None:
    terminal = opened(*command, preparing_s=30.0)
    terminal.see("⠋ looking for devices")
    terminal.type(CTRL_C)
    assert terminal.leave() == 130
    assert [line[:8] for line in terminal.lines] == ["fetching", "fetching"]
    assert terminal.is_tidy()


def test_an_answer_may_go_to_a_file_while_one_types(opened, tmp_path: Path) -> None:
    file = tmp_path / "answers.txt"
    terminal = opened("chat", into=file, answer="Some **bold** words to {last}.")
    terminal.see("[ready after")
    terminal.see_end(">")
    typed(terminal, "go")
    terminal.wait(lambda: file.read_text() == "Some **bold** words to go.\n", "answer")
    assert "bold" not in terminal.text
    leave(terminal)


@pytest.mark.parametrize("keys", [CTRL_C, CTRL_D, f"/exit{ENTER}", f"bye{ENTER}"])
def test_one_may_leave_while_it_loads(chat, keys) -> None:
    terminal = chat(loading_s=60.0)
    started = time.monotonic()
    terminal.type(keys)
    assert terminal.leave() == 0
    assert time.monotonic() - started < 5
    assert terminal.is_tidy()
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize("text", ["", "half a question"])
def test_a_model_that_can_not_be_loaded_ends_the_chat_at_once(chat, text) -> None:
    terminal = chat(loading_s=0.8, refuses="the model is broken")
    terminal.type(text)
    terminal.see("aipc: the model is broken")
    assert terminal.leave() == 1
    assert terminal.text.count("the model is broken") == 1
    assert terminal.is_tidy()


def test_a_question_that_waits_hears_why_there_is_no_answer(chat) -> None:
    terminal = chat(loading_s=3.0, refuses="the model is broken")
    typed(terminal, "early")
    terminal.see("aipc: the model is broken")
    assert terminal.leave() == 1
    assert terminal.text.count("the model is broken") == 1
    assert terminal.is_tidy()


def test_another_model_goes_on_with_the_conversation(chat) -> None:
    terminal = chat("-m", "smollm2-135m", answer="answer {turns}.")
    typed(terminal, "one")
    terminal.see_end("answer 1.", ">")
    typed(terminal, "/model smollm2-360m")
    terminal.wait(lambda: terminal.text.count("[ready after") == 2, "second model")
    typed(terminal, "two")
    terminal.see_end("answer 3.", ">")
    typed(terminal, "/model")
    terminal.see_end("smollm2-360m on CPU (fake)", ">")
    leave(terminal)


def test_a_model_that_can_not_be_had_leaves_the_one_before(chat) -> None:
    terminal = chat("-m", "smollm2-135m", answer="answer {turns}.")
    typed(terminal, "/model smollm-135m")
    terminal.see("aipc: no model is called 'smollm-135m'")
    typed(terminal, "/model phi-3-mini")
    terminal.see("[going back to the model before]")
    terminal.see("aipc: phi-3-mini is broken")
    typed(terminal, "one")
    terminal.see_end("answer 1.", ">")
    leave(terminal)


def test_a_model_whose_process_dies_is_loaded_again(chat) -> None:
    terminal = chat(answer="answer {turns}.", delay=0.001)
    typed(terminal, "one")
    terminal.see_end("answer 1.", ">")
    for pid in _children(terminal.pid):
        os.kill(pid, 9)
    terminal.rest(0.5)
    typed(terminal, "two")
    terminal.see("[the model's process was ended by SIGKILL, perhaps for want of memory")
    terminal.see_end("answer 3.", ">")
    leave(terminal)


def test_a_dumb_terminal_has_the_chat_without_what_it_can_not_show(opened) -> None:
    terminal = opened("chat", term="dumb", answer="Some **bold** words.")
    terminal.see_end("stand-in on CPU (fake), ready. /help shows the commands.", ">")
    terminal.type("go\n")
    terminal.see_end("> go", "Some **bold** words.", ">")
    assert b"\x1b[" not in terminal.written
    terminal.type(CTRL_D)
    assert terminal.leave() == 0


@pytest.mark.parametrize("phase", ["loading", "typing", "prompt", "answering"])
def test_a_signal_that_ends_it_leaves_a_clean_terminal(chat, phase: str) -> None:
    fields = {"loading_s": 60.0} if phase == "loading" else {}
    terminal = chat(answer=LETTERS * 40, delay=2.0 if phase == "prompt" else 0.02, **fields)
    if phase == "typing":
        terminal.type("half a li")
        terminal.see("half a li")
    elif phase in {"prompt", "answering"}:
        typed(terminal, "go")
        terminal.see("computing a prompt" if phase == "prompt" else "abc")
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.leave() == 143
    assert terminal.is_tidy()
    assert "Traceback" not in terminal.text


def _children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children()]
