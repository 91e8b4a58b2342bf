"""The chat through a pipe; test_chat_terminal.py has it under a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aipc.cli.conversation.commands import NAMES

USER, ASSISTANT = "user", "assistant"


def test_the_whole_conversation_is_sent_each_time(aipc, stand_in) -> None:
    session = stand_in(answer="{turns}: {last}")
    outcome = aipc("chat", "--system", "Be brief.", "--seed", "1", stdin="one\n\ntwo\n")
    assert outcome.status == 0
    assert outcome.stdout == "2: one\n4: two\n"
    assert session.asked[1] == [
        {"role": "system", "content": "Be brief."},
        {"role": USER, "content": "one"},
        {"role": ASSISTANT, "content": "2: one"},
        {"role": USER, "content": "two"},
    ]
    assert session.sampled == [{"seed": 1}, {"seed": 1}]
    assert session.closed


def test_reset_forgets(aipc, stand_in) -> None:
    stand_in(answer="{turns}")
    outcome = aipc("chat", stdin="one\ntwo\n/reset\nthree\n")
    assert outcome.stdout == "1\n3\n1\n"
    assert "[a new conversation]" in outcome.stderr


def test_a_system_message_can_be_set_and_removed(aipc, stand_in) -> None:
    session = stand_in()
    aipc("chat", stdin="/system Be brief.\none\n/system\ntwo\n")
    assert session.asked[0][0] == {"role": "system", "content": "Be brief."}
    assert session.asked[1][0] == {"role": USER, "content": "one"}


def test_save_writes_what_was_said(aipc, stand_in, tmp_path: Path) -> None:
    stand_in(answer="Hi.")
    path = tmp_path / "my talk.json"
    outcome = aipc("chat", stdin=f"hello\n/save {path}\n/save {path}\n/save\n/save x.txt\n")
    told = json.loads(path.read_text(encoding="utf-8"))
    assert [turn["content"] for turn in told["messages"]] == ["hello", "Hi."]
    assert told["model"] == "stand-in"
    errors = [line for line in outcome.stderr.splitlines() if line.startswith("aipc: ")]
    assert errors == [
        f"aipc: '{path}' exists; choose another name",
        "aipc: /save needs a file name; /save talk.md",
        "aipc: can't tell the format of 'x.txt'; end it in .json or .md",
    ]
    assert outcome.status == 1


def test_exit_leaves_what_follows_unread(aipc, stand_in) -> None:
    session = stand_in()
    assert aipc("chat", stdin="one\n/exit\ntwo\n").status == 0
    assert len(session.asked) == 1


def test_an_unknown_command_says_so_and_is_not_sent(aipc, stand_in) -> None:
    session = stand_in()
    outcome = aipc("chat", stdin="/rset\n/xyzzy\n /etc/passwd is a path\n")
    assert "aipc: unknown command '/rset'; did you mean /reset?" in outcome.stderr
    assert "aipc: unknown command '/xyzzy'; /help shows the commands" in outcome.stderr
    assert [asked[0]["content"] for asked in session.asked] == ["/etc/passwd is a path"]


def test_help_names_every_command(aipc, stand_in) -> None:
    stand_in()
    outcome = aipc("chat", stdin="/help\n")
    for name in NAMES:
        assert name in outcome.stderr
    assert outcome.stdout == ""
    assert aipc("chat", stdin="/?\n").stderr == outcome.stderr
    assert max(map(len, outcome.stderr.splitlines())) <= 100


def test_a_full_context_is_told_and_the_chat_goes_on(aipc, stand_in) -> None:
    stand_in(answer="ok", context=30)
    outcome = aipc("chat", stdin=f"one\n{'x' * 40}\n/reset\ntwo\n")
    assert outcome.stdout == "ok\nok\n"
    (error,) = [line for line in outcome.stderr.splitlines() if line.startswith("aipc: ")]
    assert "45 tokens, and the context holds 30" in error
    assert error.endswith("/reset begins a new conversation")
    assert outcome.status == 1


def test_debug_shows_where_a_question_failed(aipc, stand_in) -> None:
    stand_in(context=5)
    assert "Traceback" not in aipc("chat", stdin="too long\n").stderr
    outcome = aipc("chat", "--debug", stdin="too long\n")
    assert "Traceback" in outcome.stderr
    assert "PromptTooLong" in outcome.stderr


def test_a_question_that_failed_is_not_kept(aipc, stand_in) -> None:
    session = stand_in(answer="12345", fails_after=2)
    outcome = aipc("chat", stdin="one\ntwo\n")
    assert outcome.stdout == "12\n12\n"
    assert [len(asked) for asked in session.asked] == [1, 1]


def test_several_lines_are_one_message(aipc, stand_in) -> None:
    session = stand_in()
    aipc("chat", stdin='a \\\nb\n"""\nc\n\nd\n"""\n')
    assert [asked[-1]["content"] for asked in session.asked] == ["a \nb", "c\n\nd"]


def test_bytes_that_are_no_text_end_it(aipc, stand_in) -> None:
    stand_in()
    outcome = aipc("chat", stdin=b"caf\xe9\n")
    assert outcome.status == 2
    assert "stdin is not UTF-8 text" in outcome.stderr


def test_a_loop_is_stopped_and_the_chat_goes_on(aipc, stand_in) -> None:
    session = stand_in(answer="so: " + "{last} " * 50)
    outcome = aipc("chat", "--repetition-penalty", "1.1", stdin="go\non\n")
    assert outcome.status == 0
    assert outcome.stdout == f"so:{' go' * 8}\nso:{' on' * 8}\n"
    assert outcome.stderr.count("[stopped after 27 tokens: the same 3 tokens over and over;") == 2
    assert "penalty" not in outcome.stderr
    assert session.asked[1][1] == {"role": ASSISTANT, "content": f"so:{' go' * 8}"}


def test_a_loop_goes_on_where_it_may(aipc, stand_in) -> None:
    stand_in(answer="go " * 50)
    outcome = aipc("chat", "--no-repetition-detection", stdin="x\n")
    assert (outcome.stdout, "stopped" in outcome.stderr) == ("go " * 50 + "\n", False)


def told(session) -> list[list[str]]:
    return [[message["content"] for message in asked] for asked in session.asked]


def test_an_answer_can_be_made_anew(aipc, stand_in) -> None:
    session = stand_in(answer="{turns}")
    outcome = aipc("chat", stdin="one\ntwo\n/regenerate\nthree\n")
    assert outcome.stdout == "1\n3\n3\n5\n"
    assert told(session)[2] == ["one", "1", "two"]
    assert told(session)[3] == ["one", "1", "two", "3", "three"]


def test_an_answer_that_can_not_be_made_anew_stays(aipc, stand_in, tmp_path: Path) -> None:
    stand_in(answer="ok", context=30)
    path = tmp_path / "talk.json"
    lines = f"one\n/set max_new_tokens 9999999\n/system {'x' * 40}\n/regenerate\n/save {path}\n"
    outcome = aipc("chat", stdin=lines)
    assert "the prompt is too long" in outcome.stderr
    messages = json.loads(path.read_text("utf-8"))["messages"]
    assert [one["content"] for one in messages] == ["one", "ok"]


def test_a_question_can_be_taken_back(aipc, stand_in) -> None:
    session = stand_in(answer="ok")
    outcome = aipc("chat", stdin="one\ntwo\n/undo\nthree\n/undo\n/undo\n/undo\n")
    assert told(session)[2] == ["one", "ok", "three"]
    assert outcome.stderr.count("[taken back: ") == 3
    assert "[taken back: two]" in outcome.stderr
    assert "aipc: nothing was asked yet; ask a question first" in outcome.stderr


def test_sampling_is_set_for_the_answers_that_follow(aipc, stand_in) -> None:
    session = stand_in(answer="ok")
    lines = "one\n/set temperature 0.5\n/set top-k=7\ntwo\n/set temperature default\nthree\n"
    outcome = aipc("chat", "--seed", "1", stdin=f"{lines}/set temperature 9\n/set\n")
    assert session.sampled == [
        {"seed": 1},
        {"seed": 1, "temperature": 0.5, "top_k": 7},
        {"seed": 1, "top_k": 7},
    ]
    assert "aipc: --temperature 9.0 is above its maximum 2.0" in outcome.stderr
    assert "top_k                          7" in outcome.stderr


def test_a_file_goes_with_the_next_message(aipc, stand_in, tmp_path: Path) -> None:
    session = stand_in(answer="ok")
    path = tmp_path / "my notes.txt"
    path.write_text("first\nsecond\n")
    outcome = aipc("chat", stdin=f"/file '{path}'\nSum up.\nAnd?\n/file {path}\n/file\nSo?\n")
    assert told(session)[0] == ["my notes.txt:\n```\nfirst\nsecond\n```\n\nSum up."]
    assert [one[-1] for one in told(session)[1:]] == ["And?", "So?"]
    assert "[my notes.txt, 2 lines: goes with the next message]" in outcome.stderr


def test_a_file_that_is_too_long_can_be_left_out(aipc, stand_in, tmp_path: Path) -> None:
    session = stand_in(answer="ok", context=50)
    path = tmp_path / "long.txt"
    path.write_text("x" * 100)
    outcome = aipc("chat", stdin=f"/file {path}\nSum up.\n/file\nSo?\n")
    assert outcome.stderr.count("/file alone leaves the file out") == 1
    assert told(session)[-1] == ["So?"]


def test_a_conversation_is_taken_up_again(aipc, stand_in, tmp_path: Path) -> None:
    session = stand_in(answer="ok")
    path = tmp_path / "talk.json"
    aipc("chat", "--system", "Be brief.", stdin=f"one\n/save {path}\n")
    outcome = aipc("chat", stdin=f"/load {path}\ntwo\n/load {tmp_path}/none.json\n")
    assert told(session)[-1] == ["Be brief.", "one", "ok", "two"]
    assert f"[1 question and its answer from {path}]" in outcome.stderr
    assert f"can't read '{tmp_path}/none.json'" in outcome.stderr


def test_another_model_goes_on(aipc, stand_in) -> None:
    session = stand_in(answer="{turns}")
    outcome = aipc("chat", stdin="one\n/model smollm2-360m\ntwo\n/model no-such\nthree\n/model\n")
    assert outcome.stdout == "1\n3\n5\n"
    assert session.loaded["name"] == "smollm2-360m"
    assert "aipc: no model is called 'no-such'" in outcome.stderr
    assert "stand-in on CPU (fake)" in outcome.stderr
    assert outcome.status == 1


@pytest.mark.parametrize("word", ["/exit", "/bye", "/EXIT"])
def test_every_way_to_leave(aipc, stand_in, word: str) -> None:
    session = stand_in()
    assert aipc("chat", stdin=f"one\n{word}\ntwo\n").status == 0
    assert told(session) == [["one"]]


def test_a_file_of_prompts_may_hold_the_word_exit(aipc, stand_in) -> None:
    session = stand_in()
    aipc("chat", stdin="exit\n")
    assert told(session) == [["exit"]]
