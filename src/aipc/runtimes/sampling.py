"""The options by which the next token is chosen, as users ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aipc.errors import UsageError
from aipc.options import check, option

DRAW = -1
"""The seed that asks for a random one, as llama.cpp and vLLM have it."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, as a user asks for it.

    None leaves the choice to what the model's makers state; `aipc.generate.resolve` turns an
    instance into the `aipc.runtimes.base.Decoding` that engines are given.
    """

    max_new_tokens: int = option(1024, "longest answer, in tokens", minimum=0)
    temperature: float | None = option(
        None, "0 takes the likeliest token; higher is more varied", minimum=0.0, maximum=2.0
    )
    top_p: float | None = option(
        None,
        "sample among the likeliest tokens that hold this share; 1 is off",
        minimum=0.001,
        maximum=1.0,
    )
    top_k: int | None = option(
        None, "sample among this many of the likeliest tokens; 0 is off", minimum=0
    )
    min_p: float | None = option(
        None,
        "sample among tokens at least this many times as likely as the likeliest; 0 is off",
        minimum=0.0,
        maximum=1.0,
    )
    repetition_penalty: float | None = option(
        None,
        "divides the score of tokens seen before; 1 is off",
        minimum=0.1,
        maximum=10.0,
    )
    presence_penalty: float | None = option(
        None,
        "taken from the score of each token that the answer has; 0 is off",
        minimum=-2.0,
        maximum=2.0,
    )
    frequency_penalty: float | None = option(
        None,
        "taken from the score of a token for each time that the answer has it; 0 is off",
        minimum=-2.0,
        maximum=2.0,
    )
    logit_bias: Mapping[int, float] | None = option(
        None,
        "added to the score of a token, by its id; -100 bans it",
        minimum=-100.0,
        maximum=100.0,
    )
    seed: int | None = option(
        None,
        "the same seed gives the same sample again; any of 64 bits, -1 draws one",
        minimum=-(2**63),
        maximum=2**64 - 1,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.logit_bias is not None:
            by_id = {_token_id(name): float(bias) for name, bias in self.logit_bias.items()}
            object.__setattr__(self, "logit_bias", by_id)


def fold_seed(seed: int) -> int:
    """The 32 bits that engines take: from 0 to 2**32 - 1 the seed itself.

    Of any other, as 64 bits in two's complement, the upper half is spread (Knuth's multiplicative
    hash) and added to the lower one.
    """
    high, low = divmod(seed % 2**64, 2**32)
    return (low + high * 2654435761) % 2**32


def _token_id(name: int | str) -> int:
    """JSON has it as a text."""
    text = str(name)
    if text.isascii() and text.isdecimal():
        return int(text)
    raise UsageError(f"--logit-bias takes token ids, not {name!r:.40}", "see `tokenizer.json`")
