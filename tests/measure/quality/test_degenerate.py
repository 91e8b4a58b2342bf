from __future__ import annotations

import pytest
from answering import Answering
from tokenizers import Tokenizer as Backend
from tokenizers import models

from aipc.generate import TextPipeline, Tokenizer
from aipc.measure.quality.degenerate import (
    LONGEST_ANSWER,
    OPEN_PROMPTS,
    AnswerCheck,
    check_answer,
    check_answers,
    odd_share,
    repeated_share,
)
from aipc.runtimes.fake import FakeEngine, FakeRuntime
from aipc.session.session import Session

GOOD = (
    "Bread begins with flour, water, salt and yeast. The baker kneads them until the dough is "
    "smooth, lets it rise for an hour, shapes it and bakes it in a hot oven until it is brown."
)


def test_the_share_of_repeated_runs_is_that_of_the_paper():
    assert repeated_share([1, 2, 3, 4, 5, 6]) == 0
    assert repeated_share([1, 2, 3, 4, 1, 2, 3, 4]) == pytest.approx(1 / 5)
    assert repeated_share([7] * 11) == pytest.approx(7 / 8)
    assert repeated_share([1, 2]) == 0


def test_characters_that_no_text_has_are_counted():
    assert odd_share("Grüße, 你好 \U0001f600\n") == 0
    assert odd_share("ab\x00\ufffd") == 0.5
    assert odd_share("") == 0


@pytest.mark.parametrize(
    ("answer", "flaw"),
    [
        (GOOD, None),
        ("  \n", "is empty"),
        ("It is. " + "I see. I see. " * 8, "ends in a loop"),
        (GOOD + GOOD + "!", "repeats itself"),
        ("\x00\x01\ufffd\ufffd what", "is no text"),
    ],
)
def test_each_flaw_is_named_in_plain_words(answer, flaw):
    flaws = check_answer("?", answer, tuple(answer.encode())).flaws
    assert [flaw in found for found in flaws] == [True] if flaw else not flaws


def test_a_model_that_loops_is_told_from_one_that_answers():
    loops = check_answers(Answering(lambda prompt: prompt + " Yes, yes, yes." * 20))
    answers = check_answers(Answering(lambda prompt: GOOD + prompt))
    assert len(loops.answers) == len(OPEN_PROMPTS) == 10
    assert len(loops.flawed) == 10
    assert not answers.flawed
    assert loops.repeated > 0.5
    assert answers.repeated < 0.2


def test_an_answer_that_loops_is_measured_to_its_limit():
    backend = Backend(models.BPE({"a": 0, "b": 1}, []))
    text = TextPipeline(Tokenizer(backend, {}), None, {}, frozenset(), 1000)
    engine = FakeEngine([0, 1] * 100)
    with Session(engine, FakeRuntime().capabilities("cpu"), text, {}) as session:
        checks = check_answers(session, ["a"])
        events = list(session.stream_ids([0], max_new_tokens=150))
    assert [len(check.answer.split()) for check in checks.answers] == [LONGEST_ANSWER]
    assert checks.answers[0].flaws == ("ends in a loop",)
    assert (events[-1].reason, events[-1].usage.completion_tokens) == ("length", 150)


def test_a_look_keeps_what_was_asked_and_answered():
    assert check_answer("a?", "b", (1,)) == AnswerCheck("a?", "b", 0.0, loops=False, odd=0.0)
