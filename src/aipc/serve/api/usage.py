"""Tokens and times of an answer, as they go over the wire."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from aipc.generate import Finished
from aipc.serve.api.schemas import Wire


class UsageBody(Wire):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TimingsBody(Wire):
    """An extension: what the server saw, waiting for other answers left out."""

    first_token_s: float | None = Field(description="seconds to the first token")
    decode_tokens_per_s: float | None = Field(description="tokens a second after the first")
    total_s: float = Field(description="seconds to the end")


def usage_of(ends: Sequence[Finished]) -> UsageBody:
    """Of answers to one prompt, which counts once."""
    prompt = ends[0].usage.prompt_tokens
    completion = sum(end.usage.completion_tokens for end in ends)
    return UsageBody(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
    )


def timings_of(ends: Sequence[Finished]) -> TimingsBody | None:
    """None for several answers at once, whose times mean little."""
    if len(ends) != 1:
        return None
    seen = ends[0].timings
    return TimingsBody(
        first_token_s=seen.first_token_s,
        decode_tokens_per_s=seen.decode_tokens_per_s,
        total_s=seen.total_s,
    )
