"""The prompts of a tuning: random ones, or a text that the answer is to repeat."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from functools import cached_property

from aipc.choose.measured import Work
from aipc.generate import TextPipeline
from aipc.measure.bench.workload import Case, RandomPrompts
from aipc.measure.quality.passages import read_passages

SEED = 1
_ASK = "Repeat this text word for word and add nothing:\n\n{text}"


class TuningPrompts:
    """As many prompts as the work has streams, others at every call."""

    def __init__(self, text: TextPipeline, work: Work) -> None:
        """Errors are those of `RandomPrompts`."""
        self._text = text
        self._work = work
        self._calls = itertools.count()
        tokenizer = text.tokenizer
        self._random = RandomPrompts(tokenizer.vocabulary_size, tokenizer.is_silent, SEED)

    def take(self, streams: int | None = None) -> list[list[int]]:
        """Token ids."""
        call, count = next(self._calls), streams or self._work.streams
        if self._work.kind == "copy":
            return [self._to_copy(call * count + at) for at in range(count)]
        return self._random.take(Case(self._work.prompt, self._work.tokens, count), call)

    def _to_copy(self, number: int) -> list[int]:
        """A question whose answer is in it, about as long as the work's prompts."""
        words = self._words
        start = random.Random(f"{SEED} {number}").randrange(len(words))  # noqa: S311 - repeatable
        stretch = itertools.islice(itertools.cycle(words), start, start + self._work.prompt)
        text = self._text.tokenizer.decode(list(stretch))
        return self._text.encode(_ASK.format(text=text))

    @cached_property
    def _words(self) -> Sequence[int]:
        whole = "\n".join(passage.text for passage in read_passages())
        return self._text.tokenizer.encode(whole, add_special_tokens=False)
