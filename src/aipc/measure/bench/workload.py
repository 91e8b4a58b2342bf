"""The prompts that every participant is given: exact lengths, no two with a common beginning."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aipc.errors import MeasurementError, PromptTooLong
from aipc.measure.bench.result import Workload


@dataclass(frozen=True)
class Case:
    """One combination of the workload's lengths, in tokens, and sequences at once."""

    prompt: int
    output: int
    batch: int


def cases(workload: Workload) -> tuple[Case, ...]:
    """Every combination, prompt lengths outermost."""
    axes = workload.prompts, workload.outputs, workload.batches
    return tuple(Case(*combination) for combination in itertools.product(*axes))


def check_context(workload: Workload, context: int) -> None:
    """Refuse lengths that the model can't hold.

    Raises:
        PromptTooLong: with the lengths and the context.
    """
    longest = max(workload.prompts) + max(workload.outputs)
    if longest > context:
        raise PromptTooLong(
            f"a prompt of {max(workload.prompts):,} tokens and an answer of "
            f"{max(workload.outputs):,} need {longest:,} tokens and the context holds {context:,}",
            "shorten --prompt or --tokens",
        )


class RandomPrompts:
    """Token ids drawn from those that stand for text.

    ``vocabulary`` is how many ids there are; ``is_silent`` is true of the special ones.
    """

    def __init__(self, vocabulary: int, is_silent: Callable[[int], bool], seed: int) -> None:
        self._ids = [token for token in range(vocabulary) if not is_silent(token)]
        self._seed = seed
        if len(self._ids) < 2:
            raise MeasurementError("the model's vocabulary has no ids to draw prompts from")

    def take(self, case: Case, repeat: int) -> list[list[int]]:
        """A batch of prompts: the same for the same case, repeat and seed; else others."""
        source = random.Random(f"{self._seed} {case} {repeat}")  # noqa: S311 - to be repeatable
        return [source.choices(self._ids, k=case.prompt) for _ in range(case.batch)]


class TextPrompts:
    """Stretches of one text, each from another position in it; the text follows its own end."""

    def __init__(self, tokens: Sequence[int], seed: int) -> None:
        self._tokens = list(tokens)
        self._seed = seed
        if len(set(self._tokens)) < 2:
            raise MeasurementError("the prompt has too few tokens", "give a longer text")

    def take(self, case: Case, repeat: int) -> list[list[int]]:
        """As `RandomPrompts.take`; texts shorter than the repeats come round again."""
        source = random.Random(f"{self._seed} {case} {repeat}")  # noqa: S311 - to be repeatable
        population = range(len(self._tokens))
        draw = source.sample if case.batch <= len(population) else source.choices
        return [
            list(itertools.islice(itertools.cycle(self._tokens), start, start + case.prompt))
            for start in draw(population, k=case.batch)
        ]
