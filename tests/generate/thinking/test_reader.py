from __future__ import annotations

import random

import pytest
import thinking_templates as templates

from aipc.generate.thinking.marks import marks_of_template
from aipc.generate.thinking.reader import ThinkingReader

THINK = marks_of_template(templates.QWEN_3)


def read(pieces, marks=THINK, *, is_open=False):
    """(thinking, answer) of a text in pieces."""
    reader = ThinkingReader(marks, is_open=is_open)
    parts = [part for piece in pieces for part in reader.feed(piece)] + reader.finish()
    kinds = [part.is_thinking for part in parts]
    assert kinds == sorted(kinds, reverse=True)
    thinking, answer = (
        "".join(part.text for part in parts if part.is_thinking is kind) for kind in (True, False)
    )
    return thinking, answer


CASES = [
    ("<think>\nWhy 😀?\n\nSo.\n</think>\n\nBecause.\n", False, ("Why 😀?\n\nSo.", "Because.\n")),
    ("\n<think>why</think>so", False, ("why", "so")),
    ("why\n</think>\n\nso", True, ("why", "so")),
    ("<think>why</think>so", True, ("why", "so")),  # a model that begins it again
    ("<think>\n\n</think>\n\nso", False, ("", "so")),
    ("<think>\nwhy < 3", False, ("why < 3", "")),
    ("why </thin", True, ("why </thin", "")),
    ("  so <think>no</think>", False, ("", "  so <think>no</think>")),
    ("<thin ice", False, ("", "<thin ice")),
    ("<thi", False, ("", "<thi")),
    ("</think> so", False, ("", "</think> so")),
    ("<think>a</think>b</think>c", False, ("a", "b</think>c")),
    ("", False, ("", "")),
    (" \n", False, ("", " \n")),
    ("\n", True, ("", "")),
]


@pytest.mark.parametrize(("text", "is_open", "expected"), CASES)
def test_thinking_and_answer_are_parted_wherever_the_text_is_cut(text, is_open, expected):
    assert read([text], is_open=is_open) == expected
    assert read(text, is_open=is_open) == expected
    source = random.Random(5)
    for _ in range(50):
        cuts = sorted(source.randrange(len(text) + 1) for _ in range(4))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert read(pieces, is_open=is_open) == expected


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            templates.HARMONY,
            (
                "<|channel|>analysis<|message|>why<|end|>"
                "<|start|>assistant<|channel|>final<|message|>so"
            ),
        ),
        (templates.GEMMA_4, "<|channel>thought\nwhy\n<channel|>so"),
        (templates.MAGISTRAL, "[THINK]why[/THINK]so"),
        (
            templates.COMMAND,
            "<|START_THINKING|>why<|END_THINKING|><|START_RESPONSE|>so<|END_RESPONSE|>",
        ),
        (templates.SEED, "<seed:think>why</seed:think>so"),
        (templates.EXAONE_DEEP, "<thought>\nwhy\n</thought>\n\nso"),
        (templates.GRANITE_3_3, "<think>why</think>\n\n<response>so</response>"),
        (templates.GRANITE_3_2, "Here's my thought process: why\n\nHere is my response: so"),
        (templates.HUNYUAN, "<think>\nwhy\n</think>\n<answer>\nso\n</answer>"),
    ],
    ids=lambda text: text[:9],
)
def test_each_family_s_marks_are_taken_away(source, text):
    marks = marks_of_template(source)
    assert read([text], marks) == read(text, marks) == ("why", "so")
    behind = text.removeprefix(marks.begin[0])
    if behind != text:
        assert read(behind, marks, is_open=True) == ("why", "so")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (templates.HARMONY, "<|channel|>final<|message|>so"),
        (templates.HUNYUAN, "<answer>\nso\n</answer>"),
        (templates.GRANITE_3_3, "<response>so</response>"),
    ],
)
def test_an_answer_without_thinking_loses_its_marks(source, text):
    assert read(text, marks_of_template(source)) == ("", "so")


def test_the_end_is_told_by_a_part_even_where_nothing_is_left_to_tell():
    reader = ThinkingReader(THINK, is_open=True)
    assert [part.text for part in reader.feed("why\n</th")] == ["why"]
    assert reader.is_thinking
    (end,) = reader.feed("ink>")
    assert (end.text, end.is_thinking, reader.is_thinking) == ("", True, False)


def test_thinking_that_is_closed_from_outside_gives_what_was_held():
    reader = ThinkingReader(THINK, is_open=False)
    parts = [*reader.feed("<think>why </th"), *reader.close()]
    assert "".join(part.text for part in parts) == "why </th"
    assert all(part.is_thinking for part in parts)
    assert [(part.text, part.is_thinking) for part in reader.feed("\n\nso")] == [("so", False)]
