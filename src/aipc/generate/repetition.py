"""An answer that has begun to go round in a loop, found at the token that makes it one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aipc.errors import UsageError
from aipc.options import check, option


@dataclass(frozen=True)
class RepetitionDetection:
    """What counts as a loop: the end of an answer is one pattern of tokens, several times over.

    The first three are vLLM's, which has them in its RepetitionDetectionParams.  A pattern without
    a letter has to go on for longer, since tables of numbers, rules and padding repeat rightly: ten
    rows of ten zeros are 300 to 500 tokens.  Measured in docs/cli.md.
    """

    max_pattern_size: int = option(
        1024, "longest pattern that is found, in tokens; 0 is off", minimum=0, maximum=2048
    )
    min_pattern_size: int = option(
        1, "shortest pattern that is found, in tokens", minimum=0, maximum=2048
    )
    min_count: int = option(3, "times that a pattern has to come", minimum=2, maximum=1000)
    min_tokens: int = option(
        24, "tokens that all of its rounds have to have together", minimum=0, maximum=100_000
    )
    min_wordless_tokens: int = option(
        512,
        "the same for a pattern without a letter: rows of zeros, rules of tables",
        minimum=0,
        maximum=100_000,
    )

    def __post_init__(self) -> None:
        check(self)
        if 0 < self.max_pattern_size < self.min_pattern_size:
            raise UsageError(
                f"min_pattern_size {self.min_pattern_size} is above max_pattern_size "
                f"{self.max_pattern_size}",
                "leave one of them out",
            )


class RepetitionDetector:
    """Reads one answer's tokens as they come.

    For each distance at which tokens come back it counts how many in a row did.  A token costs
    a step for each time that it came in the last ``max_pattern_size``: a few dozen in text.
    """

    def __init__(
        self, rule: RepetitionDetection, has_letter: Callable[[int], bool] = lambda _: True
    ) -> None:
        """``has_letter`` says whether a token writes a letter; without it every one does."""
        self._rule = rule
        self._has_letter = has_letter
        self._places: defaultdict[int, list[int]] = defaultdict(list)
        self._runs: dict[int, int] = {}
        self._count = 0
        self._wordless = 0  # of the latest tokens, those without a letter

    def feed(self, token: int) -> int | None:
        """Add a token; how many make the pattern that the answer now ends with, if it does."""
        self._wordless = 0 if self._has_letter(token) else self._wordless + 1
        places, runs, found = self._places[token], {}, None
        for place in reversed(places):
            period = self._count - place
            if period > self._rule.max_pattern_size:
                break
            runs[period] = run = self._runs.get(period, 0) + 1
            if found is None and period + run >= self._needed(period):
                found = period
        places.append(self._count)
        self._runs = runs
        self._count += 1
        return found

    def _needed(self, period: int) -> float:
        """Tokens that make a loop of this period."""
        rule = self._rule
        if period < rule.min_pattern_size:
            return float("inf")
        least = rule.min_wordless_tokens if period <= self._wordless else rule.min_tokens
        return max(rule.min_count * period, least)


def looping_pattern(tokens: Iterable[int]) -> int | None:
    """How many tokens make the pattern that an answer ends with, three times and 24 or more.

    None where it ends with none.  With or without letters is the same here.
    """
    detector = RepetitionDetector(RepetitionDetection())
    found = None
    for token in tokens:
        found = detector.feed(token)
    return found
