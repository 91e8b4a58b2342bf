"""The bodies of /v1/completions, as OpenAI writes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aipc.serve.api.schemas import Completing, Wire
from aipc.serve.api.usage import TimingsBody, UsageBody

LIMIT = 16
"""Tokens of an answer where none is asked for, as OpenAI has it."""


class CompletionRequest(Completing):
    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)] = Field(
        description="a text to continue, without a chat template"
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description=f"longest answer, in tokens; {LIMIT} without it"
    )
    logprobs: Annotated[int, Field(ge=0, le=0)] | None = Field(
        default=None, description="0 only: that of the chosen token"
    )
    echo: Literal[False] | None = Field(default=None, description="false only")
    best_of: Annotated[int, Field(ge=1, le=1)] | None = Field(default=None, description="1 only")
    suffix: None = Field(default=None, description="null only")

    @property
    def text(self) -> str:
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]


class CompletionLogprobs(Wire):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: None
    text_offset: list[int] = Field(description="characters into the answer")


class CompletionChoice(Wire):
    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length"] | None


class Completion(Wire):
    """A whole completion, or a chunk of one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: UsageBody | None = None
    timings: TimingsBody | None = None
