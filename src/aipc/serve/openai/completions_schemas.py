"""The bodies of /v1/completions, as OpenAI writes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aipc.runtimes.base import MOST_ALTERNATIVES
from aipc.serve.api.schemas import UNLIMITED, ApiModel, TimingsBody
from aipc.serve.openai.schemas import CompletionBase, StopReason, UsageBody

LIMIT = 16
"""Tokens of an answer without ``max_tokens``, as in OpenAI's API."""
MAX_CHOICES = 1024

TokenId = Annotated[int, Field(ge=0, lt=2**31)]
TokenIds = Annotated[list[TokenId], Field(min_length=1)]
OnePrompt = str | list[int]


class CompletionRequest(CompletionBase):
    prompt: (
        str
        | Annotated[list[str], Field(min_length=1, max_length=MAX_CHOICES)]
        | TokenIds
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_CHOICES)]
    ) = Field(
        description="a text to continue, without a chat template, or its token ids; or a list"
    )
    max_tokens: int | None = Field(
        default=None,
        ge=-1,
        description=f"longest answer, in tokens; {LIMIT} without it, -1: the whole context",
    )
    logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] | None = Field(
        default=None, description="of the chosen tokens, and of so many of the likeliest"
    )
    echo: bool | None = Field(default=None, description="give the prompt before the answer")
    best_of: Annotated[int, Field(ge=1, le=1)] | None = Field(default=None, description="1 only")
    suffix: str | None = Field(
        default=None, description="what comes behind the answer, for models that fill in a middle"
    )

    @property
    def prompts(self) -> list[OnePrompt]:
        first = self.prompt[0] if isinstance(self.prompt, list) else None
        return self.prompt if isinstance(first, str | list) else [self.prompt]  # type: ignore[list-item, return-value]

    @property
    def limit(self) -> int:
        limit = LIMIT if self.max_tokens is None else self.max_tokens
        return UNLIMITED if limit < 0 else limit


class CompletionLogprobs(ApiModel):
    tokens: list[str] = Field(description="part of a character as bytes:\\x…")
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int] = Field(description="characters into the text")


class CompletionChoice(ApiModel):
    index: int = Field(description="n for each prompt, in their order")
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length"] | None
    stop_reason: StopReason = None


class Completion(ApiModel):
    """A whole completion, or a chunk of one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: UsageBody | None = None
    timings: TimingsBody | None = None
