"""Prompts with one checkable answer, and how many a model gets right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aipc.measure.statistics import Interval, of_share
from aipc.tables import read_table

if TYPE_CHECKING:
    from aipc.session.session import Session

LONGEST_ANSWER = 48
"""Tokens; every answer is a few, and a model that goes on has answered by then."""
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_AROUND = " \t\r\n\"'`.*"

_TABLE = read_table(__package__, "tasks.toml")
KINDS: Mapping[str, str] = _TABLE["kinds"]


@dataclass(frozen=True)
class Task:
    """One entry of tasks.toml, where the fields are explained."""

    kind: str
    prompt: str
    expect: str = ""
    number: str = ""
    exact: str = ""

    def is_right(self, answer: str) -> bool:
        if self.exact:
            return answer.strip(_AROUND) == self.exact.strip(_AROUND)
        if self.number:
            return _NUMBER.findall(answer)[-1:] == [self.number]
        return re.search(self.expect, answer.strip(), re.IGNORECASE) is not None


@dataclass(frozen=True)
class TaskOutcome:
    kind: str
    prompt: str
    answer: str
    right: bool


@dataclass(frozen=True)
class Scores:
    """``share`` of all the outcomes is right; the interval is of tasks like these."""

    share: Interval
    outcomes: tuple[TaskOutcome, ...]

    @property
    def by_kind(self) -> Mapping[str, tuple[int, int]]:
        """Kind in plain words → how many right, of how many."""
        found: dict[str, tuple[int, int]] = {}
        for outcome in self.outcomes:
            right, total = found.get(KINDS[outcome.kind], (0, 0))
            found[KINDS[outcome.kind]] = right + outcome.right, total + 1
        return found


TASKS = tuple(Task(**entry) for entry in _TABLE["task"])


def ask_tasks(
    session: Session, tasks: Iterable[Task] = TASKS, notify: Callable[[int], None] = lambda _: None
) -> Scores:
    """Ask each greedily; ``notify`` hears how many are done.

    Raises:
        AipcError: what `Session.generate` raises.
    """
    outcomes = []
    for task in tasks:
        reply = session.generate(task.prompt, temperature=0.0, max_new_tokens=LONGEST_ANSWER)
        outcomes.append(TaskOutcome(task.kind, task.prompt, reply.text, task.is_right(reply.text)))
        notify(len(outcomes))
    right = sum(outcome.right for outcome in outcomes)
    return Scores(of_share(right, len(outcomes)), tuple(outcomes))
