"""The bodies of /v1/responses, as OpenAI writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from aipc.generate.structured.tools import MAX_TOOLS
from aipc.runtimes.base import MOST_ALTERNATIVES
from aipc.wire.openai.formats import FlatFormat
from aipc.wire.openai.items import InputItem
from aipc.wire.openai.schemas import (
    Effort,
    Limit,
    OpenAIBody,
    StopReason,
    ThinkingMembers,
    TokenLogprob,
)
from aipc.wire.openai.tools import AnyTool, FunctionTool, ModeChoice, ToolChoice
from aipc.wire.refusals import by_shape
from aipc.wire.schemas import UNLIMITED, ApiModel, RequestPart, TimingsBody, Whole

MAX_ITEMS = 2048
LOGPROBS = "message.output_text.logprobs"
"""What may be included, besides what is told always."""


class TextOptions(RequestPart):
    format: FlatFormat | None = None


class ReasoningOptions(RequestPart):
    effort: Effort | None = Field(
        default=None, description="for models that take it; none: don't think"
    )
    summary: str | None = Field(default=None, description="without effect: all is told")


class ResponseRequest(ThinkingMembers, OpenAIBody):
    input: Annotated[
        Annotated[str, Tag("=text")]
        | Annotated[list[InputItem], Field(max_length=MAX_ITEMS), Tag("=list")],
        by_shape("text", "list"),
    ] = Field(default="", description="may be left out behind a previous_response_id")
    instructions: str | None = None
    max_output_tokens: Limit | None = Field(
        default=None, description="longest answer, in tokens; -1: the whole context"
    )
    max_tool_calls: Whole | None = Field(
        default=None, description="without effect: no tool is called here"
    )
    text: TextOptions | None = None
    tools: Annotated[list[AnyTool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = Field(
        default=None, max_length=100, description="a kept response to go on from"
    )
    store: bool | None = Field(
        default=None, description="false: do not keep the response in memory"
    )
    truncation: Literal["auto", "disabled"] | None = Field(
        default=None, description="auto: leave out the oldest turns where all do not fit"
    )
    include: list[str] | None = Field(default=None, description="what there is, is told always")
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] | None = Field(
        default=None, description="likeliest tokens told at each place"
    )
    reasoning: ReasoningOptions | None = None
    metadata: dict[str, Any] | None = Field(default=None, description="told again, no more")

    def unheeded(self) -> Iterator[str]:
        named = enumerate(self.include or ())
        yield from (f"include[{index}]" for index, name in named if name != LOGPROBS)
        if self.reasoning and self.reasoning.summary:
            yield "reasoning.summary"

    @property
    def wants_logprobs(self) -> bool:
        return LOGPROBS in (self.include or ()) or bool(self.top_logprobs)

    @property
    def functions(self) -> list[FunctionTool]:
        return [tool for tool in self.tools or () if isinstance(tool, FunctionTool)]

    @property
    def needs_tool(self) -> bool:
        """Whether an answer without a call is not what is wanted."""
        free = {None, "auto", "none"}
        choice = self.tool_choice
        return (choice.type if isinstance(choice, ModeChoice) else choice) not in free

    @property
    def limit(self) -> int | None:
        return UNLIMITED if self.max_output_tokens == -1 else self.max_output_tokens


class OutputText(ApiModel):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Any]
    logprobs: list[TokenLogprob]


class ReasoningText(ApiModel):
    type: Literal["reasoning_text"]
    text: str


class OutputReasoning(ApiModel):
    """What was thought before the answer."""

    id: str
    type: Literal["reasoning"]
    status: Literal["in_progress", "completed", "incomplete"]
    summary: list[Any]
    content: list[ReasoningText]


class OutputMessage(ApiModel):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputText]


class OutputCall(ApiModel):
    id: str
    type: Literal["function_call"]
    status: Literal["in_progress", "completed"]
    call_id: str
    name: str
    arguments: str


class CachedTokens(ApiModel):
    cached_tokens: int
    cache_write_tokens: int


class ReasoningTokens(ApiModel):
    reasoning_tokens: int


class ResponseUsage(ApiModel):
    input_tokens: int
    input_tokens_details: CachedTokens
    output_tokens: int
    output_tokens_details: ReasoningTokens
    total_tokens: int


class IncompleteDetails(ApiModel):
    reason: Literal["max_output_tokens"]


class ResponseBody(ApiModel):
    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["in_progress", "completed", "incomplete"]
    background: Literal[False]
    model: str
    output: list[
        Annotated[OutputReasoning | OutputMessage | OutputCall, Field(discriminator="type")]
    ]
    error: None
    incomplete_details: IncompleteDetails | None
    stop_reason: StopReason = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, Any]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: dict[str, Any]
    service_tier: Literal["default"]
    store: bool
    temperature: float | None
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]] = Field(description="those that were offered to the model")
    top_logprobs: int
    top_p: float | None
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsage | None
    timings: TimingsBody | None = None


class DeletedResponse(ApiModel):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class ItemList(ApiModel):
    """The input of a response; the newest first, as at OpenAI."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: Literal[False]
