"""The prompts that every device is given, as token ids of the model's own tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aipc.choose.canary import PROMPTS
from aipc.generate import TextPipeline
from aipc.measure.quality.passages import read_passages

LENGTHS = (16, 128, 512, 2000)
"""Of prompts, in tokens: NPUs have gone wrong past 2,000."""
ANSWER = 16
"""Tokens of the answer to each of them."""
LONG_ANSWER = 192  # tokens
_OPEN = "Explain how bread is baked, from the flour to the table."
SPEED_PROMPT = 128
_STEP = 173
"""Tokens from one stretch's beginning to the next: no cache of prefixes helps."""


@dataclass(frozen=True)
class ProofTexts:
    questions: tuple[tuple[int, ...], ...]
    """The canary's, in the model's chat template."""
    open_question: tuple[int, ...]
    prose: tuple[int, ...]
    stop_ids: frozenset[int]
    context: int
    decode: Callable[[Sequence[int]], str]

    @classmethod
    def read(cls, folder: Path) -> ProofTexts:
        """Of an artifact."""
        text = TextPipeline.read(folder)
        prose = read_passages()[-1].text
        return cls(
            tuple(tuple(text.encode(prompt)) for prompt in PROMPTS),
            tuple(text.encode(_OPEN)),
            tuple(text.tokenizer.encode(prose, add_special_tokens=False)),
            text.stop_ids,
            text.context,
            text.tokenizer.decode,
        )

    def prompt(self, length: int) -> tuple[int, ...]:
        """The beginning of a book."""
        return self.prose[:length]

    def stretch(self, number: int) -> tuple[int, ...]:
        """A part of it that begins like no other, for the speed."""
        start = (number + 1) * _STEP
        return self.prose[start : start + SPEED_PROMPT]
