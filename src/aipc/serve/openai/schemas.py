"""What the bodies of OpenAI's API have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

import aipc
from aipc.generate import Finished, FinishReason
from aipc.runtimes.sampling import DRAW, fold_seed
from aipc.serve.api.schemas import ApiModel, SamplingBody, Stop, sampling_field, timings_of

FINGERPRINT = f"aipc-{aipc.__version__}"
MAX_BIASES = 1024
TokenName = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
Bias = Annotated[float, Field(ge=-100, le=100)]


class StreamOptions(ApiModel):
    include_usage: bool | None = Field(default=None, description="usage in a chunk of its own")
    include_obfuscation: bool | None = Field(default=None, description="without effect here")


class CompletionBase(SamplingBody):
    """What chat and plain completions share."""

    n: int | None = Field(default=None, ge=1, le=8, description="answers; one seed higher for each")
    seed: int | None = sampling_field("seed")
    stop: Stop | Annotated[list[Stop], Field(min_length=1, max_length=4)] | None = None
    stream_options: StreamOptions | None = None
    logit_bias: Annotated[dict[TokenName, Bias], Field(max_length=MAX_BIASES)] | None = Field(
        default=None, description="token ids to what is added to their scores; -100 bans one"
    )

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def seeds(self) -> list[int | None]:
        """One for each answer, of 32 bits."""
        if self.seed is None or self.seed == DRAW:
            return [None] * (self.n or 1)
        return [(fold_seed(self.seed) + at) % 2**32 for at in range(self.n or 1)]


class UsageBody(ApiModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


StopReason = Annotated[
    Literal["repetition_detected"] | None,
    Field(description="extension, as vLLM's: a loop ended the answer"),
]


def ending(reason: FinishReason | None) -> dict[str, Any]:
    """The members "finish_reason" and, after a loop, "stop_reason" of a choice.

    Strict clients know OpenAI's finish reasons alone.  Of these a loop is "length": the answer
    was cut, and JSON in it is not whole.
    """
    if reason == "repetition":
        return {"finish_reason": "length", "stop_reason": "repetition_detected"}
    return {"finish_reason": reason}


def usage_of(ends: Sequence[Finished]) -> UsageBody:
    """Sum over the choices of one prompt; the prompt counts once."""
    prompt = ends[0].usage.prompt_tokens
    completion = sum(end.usage.completion_tokens for end in ends)
    return UsageBody(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
    )


def usage_members(ends: Sequence[Finished]) -> dict[str, Any]:
    """The members "usage" and, for a single choice, "timings" of a completion."""
    timings = timings_of(ends)
    return {"usage": usage_of(ends), **({"timings": timings} if timings else {})}
