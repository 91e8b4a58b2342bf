"""What the bodies of OpenAI's API have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

import aipc
from aipc.errors import UsageError
from aipc.generate import Alternative, Finished, FinishReason, Text
from aipc.generate.thinking.mode import check_options
from aipc.runtimes.sampling import DRAW, fold_seed
from aipc.tables import read_table
from aipc.wire.refusals import by_shape
from aipc.wire.schemas import (
    DECLARED,
    ApiModel,
    RequestPart,
    SamplingBody,
    Whole,
    sampling_field,
    timings_of,
    tokens_with_logprobs,
)

FINGERPRINT = f"aipc-{aipc.__version__}"
MAX_BIASES, MAX_STOPS = 1024, 32
TokenName = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
Bias = Annotated[float, Field(ge=-100, le=100)]
_TABLE = read_table(__package__, "members.toml")


def _unsupported() -> Iterator[tuple[str, str, Sequence[Any]]]:
    for group in _TABLE["group"]:
        for name in group["names"]:
            yield name, group["instead"], group.get("neutral", ())


def is_left_out(tool: str) -> bool:
    """Whether it is the type of a tool of OpenAI's that is known, but not offered to a model."""
    return tool.startswith(tuple(_TABLE["kinds"]["tools"]))


PASSED_OVER = frozenset[str](_TABLE["kinds"]["items"])
"""Types of a history's items that have no text."""


def _limit(tokens: int) -> int:
    if tokens < 1 and tokens != -1:
        raise PydanticCustomError("limit", "should be 1 or more, or -1 for the whole context")
    return tokens


Limit = Annotated[Whole, AfterValidator(_limit), WithJsonSchema({"type": "integer", "minimum": -1})]
"""Tokens; -1, as other servers have it, is no limit but the context's."""


def _template_options(options: dict[str, Any]) -> dict[str, Any]:
    try:
        check_options(options)
    except UsageError as error:
        raise PydanticCustomError("template_options", "{reason}", {"reason": str(error)}) from error
    return options


class OpenAIBody(SamplingBody):
    """A request for text, with what of other servers' extensions is honored too."""

    REFUSED: ClassVar[Mapping[str, str]] = {name: instead for name, instead, _ in _unsupported()}
    NEUTRAL: ClassVar[Mapping[str, Sequence[Any]]] = {
        name: neutral for name, _, neutral in _unsupported()
    }

    top_p: float | None = Field(
        default=None, ge=0.0, le=1.0, description="sample among tokens that hold this share"
    )
    top_k: Whole | None = Field(
        default=None, ge=-1, description="sample among so many tokens; -1 and 0 are off"
    )
    repeat_penalty: float | None = Field(
        default=None,
        ge=DECLARED["repetition_penalty"].minimum,
        le=DECLARED["repetition_penalty"].maximum,
        description="extension, as llama.cpp's: repetition_penalty, over the whole text",
    )
    chat_template_kwargs: Annotated[dict[str, Any], AfterValidator(_template_options)] | None = (
        Field(default=None, description="extension, as vLLM's: more variables of the chat template")
    )
    ignore_eos: bool | None = Field(
        default=None, description="extension, as vLLM's: go on to the limit"
    )

    def sampling(self, limit: int | None, seed: int | None = None) -> dict[str, Any]:
        """As at `SamplingBody`, with the values by which other servers say the same."""
        given = super().sampling(limit, seed)
        if self.top_k is not None:
            given["top_k"] = max(self.top_k, 0)
        if self.top_p is not None:
            given["top_p"] = max(self.top_p, DECLARED["top_p"].minimum or 0)
        if self.repeat_penalty is not None:
            given.setdefault("repetition_penalty", self.repeat_penalty)
        return given


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class ThinkingSwitch(RequestPart):
    type: Literal["enabled", "disabled", "adaptive", "auto"]
    budget_tokens: int | None = None


class ThinkingMembers(RequestPart):
    """Whether to think before the answer, and how much, by the names that servers have for it."""

    think: bool | None = Field(
        default=None, description="extension, as Ollama's: think before the answer, or don't"
    )
    enable_thinking: bool | None = Field(default=None, description="extension, as Qwen's: as think")
    thinking: ThinkingSwitch | None = Field(
        default=None, description="extension, as DeepSeek's and Anthropic's: as think"
    )
    thinking_budget: int | None = Field(
        default=None,
        description="extension, as Qwen's: most tokens of thinking, which is ended then; -1: all",
    )
    thinking_token_budget: int | None = Field(default=None, description="the same, as vLLM's")
    thinking_budget_tokens: int | None = Field(default=None, description="the same, as llama.cpp's")

    def thinking_fields(self, effort: Effort | None) -> dict[str, Any]:
        """Those of a `GenerationRequest` that are about it."""
        switch = self.thinking or ThinkingSwitch(type="auto")
        stated = {"enabled": True, "disabled": False}.get(switch.type)
        budgets = (
            self.thinking_budget,
            self.thinking_token_budget,
            self.thinking_budget_tokens,
            switch.budget_tokens,
        )
        return {
            "think": _first(self.think, self.enable_thinking, stated),
            "reasoning_effort": effort,
            "thinking_budget": _first(*(one for one in budgets if one is None or one >= 0)),
        }


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


class StreamOptions(RequestPart):
    include_usage: bool | None = Field(default=None, description="usage in a chunk of its own")


StopText = Annotated[str, Field(max_length=256)]


class CompletionBase(OpenAIBody):
    """What chat and plain completions share."""

    n: Whole | None = Field(
        default=None, ge=1, le=8, description="answers; one seed higher for each"
    )
    seed: Whole | None = sampling_field("seed")
    stop: (
        Annotated[
            Annotated[StopText, Tag("=text")]
            | Annotated[list[StopText], Field(max_length=MAX_STOPS), Tag("=list")],
            by_shape("text", "list"),
        ]
        | None
    ) = Field(default=None, description="an empty one is none")
    stream_options: StreamOptions | None = None
    logit_bias: Annotated[dict[TokenName, Bias], Field(max_length=MAX_BIASES)] | None = Field(
        default=None, description="token ids to what is added to their scores; -100 bans one"
    )

    @property
    def stops(self) -> tuple[str, ...]:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(stop for stop in stops if stop)

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def seeds(self) -> list[int | None]:
        """One for each answer, of 32 bits."""
        if self.seed is None or self.seed == DRAW:
            return [None] * (self.n or 1)
        return [(fold_seed(self.seed) + at) % 2**32 for at in range(self.n or 1)]


class CompletionDetails(ApiModel):
    reasoning_tokens: int


class PromptDetails(ApiModel):
    cached_tokens: int = Field(description="computed for an earlier prompt")


class UsageBody(ApiModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    completion_tokens_details: CompletionDetails | None = Field(
        default=None, description="where something was thought"
    )
    prompt_tokens_details: PromptDetails | None = Field(
        default=None, description="where the runtime tells that some were cached"
    )


StopReason = Annotated[
    Literal["repetition_detected", "schema_not_met"] | None,
    Field(
        description="extension, as vLLM's: a loop ended the answer, or it does not fit its schema"
    ),
]


def ending(reason: FinishReason | None, misfit: str = "") -> dict[str, Any]:
    """The members "finish_reason" and, after a loop or for a ``misfit``, "stop_reason" of a choice.

    Strict clients know OpenAI's finish reasons alone.  Of these a loop is "length": the answer
    was cut, and JSON in it is not whole.
    """
    if reason == "repetition":
        return {"finish_reason": "length", "stop_reason": "repetition_detected"}
    if misfit:
        return {"finish_reason": reason, "stop_reason": "schema_not_met"}
    return {"finish_reason": reason}


def usage_of(ends: Sequence[Finished]) -> UsageBody:
    """Sum over the choices of one prompt; the prompt counts once."""
    prompt = ends[0].usage.prompt_tokens
    completion = sum(end.usage.completion_tokens for end in ends)
    thinking = sum(end.usage.thinking_tokens for end in ends)
    cached = ends[0].usage.cached_tokens
    details: dict[str, Any] = {}
    if thinking:
        details["completion_tokens_details"] = CompletionDetails(reasoning_tokens=thinking)
    if cached:
        details["prompt_tokens_details"] = PromptDetails(cached_tokens=cached)
    return UsageBody(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        **details,
    )


def usage_members(ends: Sequence[Finished]) -> dict[str, Any]:
    """The members "usage" and, for a single choice, "timings" of a completion."""
    timings = timings_of(ends)
    return {"usage": usage_of(ends), **({"timings": timings} if timings else {})}


class TopLogprob(ApiModel):
    token: str
    logprob: float
    bytes: list[int] | None = Field(description="null for a special token, which writes nothing")


class TokenLogprob(ApiModel):
    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


def token_logprobs(event: Text) -> list[TokenLogprob]:
    """Of each token that wrote something."""
    return [
        TokenLogprob(
            token=text,
            logprob=value,
            bytes=list(piece),
            top_logprobs=[_top_logprob(one) for one in alternatives],
        )
        for text, value, piece, alternatives in tokens_with_logprobs(event)
    ]


def _top_logprob(one: Alternative) -> TopLogprob:
    return TopLogprob(token=one.text, logprob=one.logprob, bytes=list(one.piece) or None)
