"""Prompt lookup: several tokens a step, guessed from what the prompt says already.

OpenVINO GenAI looks up the last tokens of the answer in the text so far and computes what
followed there in one step with the next token; what the model would not have said is thrown
away.  So the answer is that of plain decoding, sooner where it copies.  Source: Saxena 2023,
github.com/apoorvumang/prompt-lookup-decoding; docs.openvino.ai, "Speculative decoding".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aipc.errors import UsageError

SWITCH = "prompt_lookup"
LENGTHS = ("num_assistant_tokens", "max_ngram_size")
PROPERTIES = frozenset({SWITCH, *LENGTHS})
"""GenAI's own names: the first is a property of its pipeline, the others of each request."""
_TRUTH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True)
class PromptLookup:
    num_assistant_tokens: int = 5
    """Most tokens guessed in one step."""
    max_ngram_size: int = 3
    """Most tokens that are looked up."""

    def apply(self, config: Any) -> None:
        """Write it into GenAI's generation config."""
        config.num_assistant_tokens = self.num_assistant_tokens
        config.max_ngram_size = self.max_ngram_size


def read_lookup(properties: Mapping[str, str]) -> PromptLookup | None:
    """What ``properties`` say of it; None where it is off.

    Raises:
        UsageError: a value that can't be meant, or lengths for a lookup that is off.
    """
    told = {name: properties[name] for name in LENGTHS if name in properties}
    if not _truth(properties.get(SWITCH, "no")):
        if told:
            raise UsageError(f"{min(told)} is for prompt lookup", f"give {SWITCH}=YES as well")
        return None
    return PromptLookup(**{name: _count(name, value) for name, value in told.items()})


def _truth(value: str) -> bool:
    try:
        return _TRUTH[value.lower()]
    except KeyError as error:
        raise UsageError(f"{SWITCH} takes YES or NO, not '{value}'") from error


def _count(name: str, value: str) -> int:
    if value.isdecimal() and 1 <= int(value) <= 100:
        return int(value)
    raise UsageError(f"{name} takes a whole number from 1 to 100, not '{value}'")
