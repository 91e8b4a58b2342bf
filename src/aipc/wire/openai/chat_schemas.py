"""The bodies of /v1/chat/completions, as OpenAI writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from aipc.generate.structured.tools import MAX_TOOLS
from aipc.runtimes.base import MOST_ALTERNATIVES
from aipc.wire.openai.formats import (
    Format,
    Schema,
    StructuredOutputs,
    is_strict,
    path_in,
    schema_of,
)
from aipc.wire.openai.messages import AnyMessage
from aipc.wire.openai.schemas import (
    CompletionBase,
    Effort,
    Limit,
    StopReason,
    ThinkingMembers,
    TokenLogprob,
    UsageBody,
)
from aipc.wire.openai.tools import Tool, ToolChoice
from aipc.wire.schemas import UNLIMITED, ApiModel, TimingsBody

Reason = Literal["stop", "length", "tool_calls"]


class ChatRequest(ThinkingMembers, CompletionBase):
    messages: Annotated[list[AnyMessage], Field(min_length=1, max_length=2048)]
    max_tokens: Limit | None = Field(
        default=None, description="longest answer, in tokens; -1: the whole context"
    )
    max_completion_tokens: Limit | None = Field(default=None, description="as max_tokens")
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] | None = Field(
        default=None, description="likeliest tokens told at each place; goes with logprobs"
    )
    return_token_ids: bool | None = Field(
        default=None, description="extension, as vLLM's: tell each choice's token ids"
    )
    response_format: Format | None = None
    json_schema: Schema | None = Field(default=None, description="extension, as llama.cpp's")
    guided_json: Schema | None = Field(default=None, description="extension, as vLLM's")
    structured_outputs: StructuredOutputs | None = Field(
        default=None, description="extension, as vLLM's"
    )
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    modalities: list[Literal["text"]] | None = None
    reasoning_effort: Effort | None = Field(
        default=None, description="for models that take it; none: don't think"
    )
    continue_final_message: bool | None = Field(
        default=None, description="extension, as vLLM's: go on where the last message ends"
    )
    add_generation_prompt: bool | None = Field(
        default=None, description="extension, as vLLM's: false goes with continue_final_message"
    )

    @property
    def limit(self) -> int | None:
        limit = self.max_completion_tokens or self.max_tokens
        return UNLIMITED if limit == -1 else limit

    @property
    def schema_given(self) -> Mapping[str, Any] | None:
        """The answer's JSON schema, by whichever member it was given."""
        vllm = self.structured_outputs.schema_given if self.structured_outputs else None
        return schema_of(self.response_format) or self.json_schema or self.guided_json or vllm

    @property
    def schema_path(self) -> str:
        """Where in the request it stands."""
        if schema_of(self.response_format):
            return f"response_format.{path_in(self.response_format)}"
        if self.json_schema:
            return "json_schema"
        return "guided_json" if self.guided_json else "structured_outputs.json"

    @property
    def is_strict(self) -> bool:
        tools = (tool.function.strict for tool in self.tools or ())
        return is_strict(self.response_format) or True in tools


class ChoiceLogprobs(ApiModel):
    content: list[TokenLogprob]
    refusal: None


class CalledFunction(ApiModel):
    name: str
    arguments: str


class ToolCallBody(ApiModel):
    id: str
    type: Literal["function"]
    function: CalledFunction


class AnswerMessage(ApiModel):
    role: Literal["assistant"]
    content: str | None
    reasoning_content: str = Field(default="", description="what was thought before, if anything")
    refusal: None
    tool_calls: list[ToolCallBody] = Field(default_factory=list)


class ChatChoice(ApiModel):
    index: int
    message: AnswerMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: Reason
    stop_reason: StopReason = None
    token_ids: list[int] = Field(default_factory=list, description="where they were requested")


class ChatCompletion(ApiModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: UsageBody
    timings: TimingsBody | None = None


class ToolCallDelta(ToolCallBody):
    index: int


class Delta(ApiModel):
    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChunkChoice(ApiModel):
    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None
    finish_reason: Reason | None
    stop_reason: StopReason = None
    token_ids: list[int] = Field(default_factory=list, description="new ones, if requested")


class ChatChunk(ApiModel):
    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: UsageBody | None = None
    timings: TimingsBody | None = None
