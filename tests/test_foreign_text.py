from __future__ import annotations

import json

import pytest

from aipc.errors import CheckpointError
from aipc.foreign_text import LONGEST, escaped, escaped_json, one_line, without_controls

HOSTILE = "a\x1b]0;owned\x07\x1b[2J\x9b31m\rb\u202ec\u2066d\u200fe\u2028f\x00g\ud800"


def test_control_characters_are_shown_as_python_writes_them():
    shown = escaped(HOSTILE)
    assert shown == (r"a\x1b]0;owned\x07\x1b[2J\x9b31m\rb\u202ec\u2066d\u200fe\u2028f\x00g\ud800")
    assert shown.isprintable()
    assert shown.encode()


def test_words_of_every_script_and_the_lines_of_a_text_stay():
    text = "naïve 中文 العربية עברית 👩🏽‍🔬\n\tend"
    assert escaped(text) == without_controls(text) == text


def test_a_line_is_one_and_has_an_end():
    assert one_line(" a\n b\t\x1bc\x0bd ") == r"a b \x1bc d"
    assert len(one_line("x" * 10**6)) == LONGEST


def test_json_means_the_same():
    text = json.dumps({"text": HOSTILE, "plain": "ü"}, ensure_ascii=False)
    assert json.loads(escaped_json(text)) == json.loads(text)
    assert escaped_json(text).isprintable()


def test_an_answer_controls_nothing_but_its_lines():
    assert without_controls("a\x1b[2Jb\r\nc\td\x9b\x07") == "a[2Jb\nc\td"


@pytest.mark.parametrize("where", ["what", "fix"])
def test_every_error_can_be_shown(where):
    texts = {"what": "it failed", "fix": "try again"} | {where: HOSTILE + "x" * 10**5}
    error = CheckpointError(texts["what"], texts["fix"])
    assert str(error).isprintable()
    assert getattr(error, where).startswith(r"a\x1b]0;owned\x07")
    assert len(str(error)) < 2 * LONGEST + 5
