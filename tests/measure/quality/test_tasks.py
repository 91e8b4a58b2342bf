from __future__ import annotations

import re

import pytest
from answering import Answering

from aipc.measure.quality.tasks import KINDS, TASKS, Task, ask_tasks


def test_there_are_enough_tasks_of_every_kind_and_each_has_one_check():
    assert 40 <= len(TASKS) <= 60
    assert {task.kind for task in TASKS} == set(KINDS)
    for task in TASKS:
        assert sum(map(bool, (task.expect, task.number, task.exact))) == 1, task.prompt
        re.compile(task.expect)
    assert len({task.prompt for task in TASKS}) == len(TASKS)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.prompt[:30])
def test_no_task_is_solved_by_an_empty_or_an_evasive_answer(task):
    for answer in ("", "I am a helpful assistant and can't say.", task.prompt.split(":")[0]):
        assert not task.is_right(answer)


@pytest.mark.parametrize(
    ("task", "right", "wrong"),
    [
        (Task("facts", "?", expect=r"\bparis\b"), "It is Paris.", "Parisian"),
        (Task("arithmetic", "?", number="12"), "144 divided by 12 is 12.", "144 / 12 is 1.44"),
        (Task("arithmetic", "?", number="221"), "13 x 17 = 221\n", "13 x 17 = 221, not 212"),
        (Task("copying", "?", exact="K7-402-QX"), ' "K7-402-QX".\n', "K7-402-QX, as you said"),
        (Task("format", "?", expect=r"^\W*yes\W*$"), "Yes.", "Yes, it is"),
    ],
)
def test_an_answer_is_right_or_wrong(task, right, wrong):
    assert task.is_right(right)
    assert not task.is_right(wrong)


def test_a_model_is_asked_greedily_and_its_right_answers_counted():
    tasks = [Task("facts", f"{n}?", expect="even") for n in range(4)]
    session = Answering(lambda prompt: "odd" if int(prompt[0]) % 2 else "EVEN")
    done = []
    found = ask_tasks(session, tasks, done.append)
    assert [outcome.right for outcome in found.outcomes] == [True, False, True, False]
    assert found.share.middle == 0.5
    assert 0.14 < found.share.low < 0.16
    assert found.by_kind == {"general knowledge": (2, 4)}
    assert done == [1, 2, 3, 4]
    assert all(options["temperature"] == 0.0 for options in session.options)
