"""The options by which the next token is chosen, as users ask for them."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.options import check, option


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, as a user asks for it.

    None leaves the choice to what the model's makers state; `aipc.generate.resolve` turns an
    instance into the `aipc.runtimes.base.Decoding` that engines are given.
    """

    max_new_tokens: int = option(1024, "longest answer, in tokens", minimum=1)
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
    seed: int | None = option(
        None, "the same seed gives the same sample again", minimum=0, maximum=2**32 - 1
    )

    def __post_init__(self) -> None:
        check(self)
