"""Prompt lookup: several tokens a call, guessed from what the text so far holds already.

The last tokens of the answer are looked up in the text, and what followed there is computed in one
call with the next token; what the model would not have chosen is thrown away.  So the answer is
that of plain decoding, sooner where it copies.  Source: Saxena 2023,
github.com/apoorvumang/prompt-lookup-decoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from aipc.errors import UsageError

SWITCH = "prompt_lookup"
LENGTHS = ("num_assistant_tokens", "max_ngram_size")
PROPERTIES = frozenset({SWITCH, *LENGTHS})
"""OpenVINO GenAI's names, which every runtime takes that has it."""
_TRUTH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True)
class PromptLookup:
    num_assistant_tokens: int = 5
    """Most tokens guessed in one call."""
    max_ngram_size: int = 3
    """Most tokens that are looked up."""


class LookupText:
    """A text under way, and where in it each of its short sequences was last."""

    def __init__(self, lookup: PromptLookup, tokens: Iterable[int]) -> None:
        self._lookup = lookup
        self._tokens: list[int] = []
        self._next: dict[tuple[int, ...], int] = {}
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        for ending in self._endings():
            self._next[ending] = len(self._tokens)
        self._tokens.append(token)

    def guess(self) -> list[int]:
        """What followed the longest known ending of the text; nothing where none is known."""
        at = next((self._next[each] for each in self._endings() if each in self._next), None)
        if at is None:
            return []
        return self._tokens[at : at + self._lookup.num_assistant_tokens]

    def _endings(self) -> Iterator[tuple[int, ...]]:
        longest = min(self._lookup.max_ngram_size, len(self._tokens))
        return (tuple(self._tokens[-size:]) for size in range(longest, 0, -1))


def read_lookup(properties: Mapping[str, str]) -> PromptLookup | None:
    """What ``properties`` say of it; None where it is off.

    Raises:
        UsageError: a value that can't be meant, or lengths for a lookup that is off.
    """
    lengths = {name: properties[name] for name in LENGTHS if name in properties}
    if not _flag(properties.get(SWITCH, "no")):
        if lengths:
            raise UsageError(f"{min(lengths)} is for prompt lookup", f"give {SWITCH}=YES as well")
        return None
    return PromptLookup(**{name: _count(name, value) for name, value in lengths.items()})


def _flag(value: str) -> bool:
    try:
        return _TRUTH[value.lower()]
    except KeyError as error:
        raise UsageError(f"{SWITCH} takes YES or NO, not '{value}'") from error


def _count(name: str, value: str) -> int:
    if value.isdecimal() and 1 <= int(value) <= 100:
        return int(value)
    raise UsageError(f"{name} takes a whole number from 1 to 100, not '{value}'")
