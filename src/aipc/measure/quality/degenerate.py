"""Signs that an answer has gone wrong, whatever its words: repetition, loops, nothing, no text."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aipc.generate import looping_pattern
from aipc.tables import read_table

if TYPE_CHECKING:
    from aipc.session.session import Session

NGRAM = 4
"""Tokens; as seq-rep-4 of Welleck et al., Neural Text Generation with Unlikelihood Training
(arXiv:1908.04319)."""
LONGEST_ANSWER = 128  # tokens
MOST_REPEATED = 0.3
"""Measured on the small model's answers to these prompts: at most 0.13 where they make sense,
0.58 and more where they loop (docs/eval.md)."""
MOST_ODD = 0.1

OPEN_PROMPTS: tuple[str, ...] = tuple(read_table(__package__, "open_prompts.toml")["prompts"])


@dataclass(frozen=True)
class AnswerCheck:
    """One answer looked at; shares are 0 to 1."""

    prompt: str
    answer: str
    repeated: float
    """Of its runs of 4 tokens, those that came before in it."""
    loops: bool
    """It ends with the same tokens three times over, 24 of them or more."""
    odd: float
    """Of its characters, those that no text has: control, unassigned, replacement characters."""

    @property
    def flaws(self) -> tuple[str, ...]:
        """In plain words; none for an answer that looks like one."""
        found = {
            "is empty": not self.answer.strip(),
            "ends in a loop": self.loops,
            f"repeats itself ({self.repeated:.0%} of its runs of {NGRAM} tokens)": (
                self.repeated > MOST_REPEATED and not self.loops
            ),
            f"is no text ({self.odd:.0%} odd characters)": self.odd > MOST_ODD,
        }
        return tuple(words for words, holds in found.items() if holds)


@dataclass(frozen=True)
class AnswerChecks:
    answers: tuple[AnswerCheck, ...]

    @property
    def repeated(self) -> float:
        """Mean share of repeated runs."""
        return sum(check.repeated for check in self.answers) / len(self.answers)

    @property
    def flawed(self) -> tuple[AnswerCheck, ...]:
        return tuple(check for check in self.answers if check.flaws)


def check_answers(
    session: Session,
    prompts: Iterable[str] = OPEN_PROMPTS,
    notify: Callable[[int], None] = lambda _: None,
) -> AnswerChecks:
    """Have each prompt answered greedily and checked; ``notify`` gets the number done so far.

    Raises:
        AipcError: what `Session.generate` raises.
    """
    checks: list[AnswerCheck] = []
    for prompt in prompts:
        reply = session.generate(prompt, temperature=0.0, max_new_tokens=LONGEST_ANSWER)
        checks.append(check_answer(prompt, reply.text, reply.tokens))
        notify(len(checks))
    return AnswerChecks(tuple(checks))


def check_answer(prompt: str, answer: str, tokens: Sequence[int]) -> AnswerCheck:
    loops = looping_pattern(tokens) is not None
    return AnswerCheck(prompt, answer, repeated_share(tokens), loops, odd_share(answer))


def repeated_share(tokens: Sequence[int], size: int = NGRAM) -> float:
    """Of all runs of ``size`` tokens, the share that came before; 0 for fewer than two."""
    runs = [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def odd_share(text: str) -> float:
    """Characters of Unicode's categories C (but line ends and tabs) and U+FFFD, of all."""
    odd = sum(unicodedata.category(one)[0] == "C" and one not in "\n\r\t" for one in text)
    return (odd + text.count("\N{REPLACEMENT CHARACTER}")) / len(text) if text else 0.0
