"""The bodies of /v1/chat/completions, as OpenAI writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from aipc.runtimes.base import MOST_ALTERNATIVES
from aipc.serve.api.schemas import ApiModel, TimingsBody
from aipc.serve.openai.schemas import CompletionBase, StopReason, UsageBody

ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Schema = dict[str, Any]

Reason = Literal["stop", "length", "tool_calls"]


class TextPart(ApiModel):
    type: Literal["text"]
    text: str


Content = str | Annotated[list[TextPart], Field(min_length=1)]


class SystemMessage(ApiModel):
    role: Literal["system", "developer"]
    content: Content
    name: str | None = None


class UserMessage(ApiModel):
    role: Literal["user"]
    content: Content
    name: str | None = None


class CalledFunction(ApiModel):
    name: ToolName
    arguments: str


class ToolCallBody(ApiModel):
    id: str
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(ApiModel):
    """As an answer gave it; the members that are null here come back from clients."""

    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: Annotated[list[ToolCallBody], Field(min_length=1)] | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    name: str | None = None


class ToolMessage(ApiModel):
    role: Literal["tool"]
    content: Content
    tool_call_id: str


AnyMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class FunctionBody(ApiModel):
    name: ToolName
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class Tool(ApiModel):
    type: Literal["function"]
    function: FunctionBody


class NamedFunction(ApiModel):
    name: ToolName


class NamedTool(ApiModel):
    type: Literal["function"]
    function: NamedFunction


class TextFormat(ApiModel):
    type: Literal["text"]


class JsonFormat(ApiModel):
    type: Literal["json_object"]


class SchemaBody(ApiModel):
    name: ToolName
    description: str | None = None
    schema_: Schema = Field(alias="schema")
    strict: bool | None = Field(default=None, description="a schema is always kept to")


class SchemaFormat(ApiModel):
    type: Literal["json_schema"]
    json_schema: SchemaBody


Format = Annotated[TextFormat | JsonFormat | SchemaFormat, Field(discriminator="type")]


class ChatRequest(CompletionBase):
    REFUSED: ClassVar[Mapping[str, str]] = {
        "audio": "these models read and write text",
        "function_call": "use tool_choice",
        "functions": "use tools",
        "prediction": "leave it out",
        "web_search_options": "this server has no network",
    }

    messages: Annotated[list[AnyMessage], Field(min_length=1, max_length=2048)]
    max_tokens: int | None = Field(default=None, ge=1, description="longest answer, in tokens")
    max_completion_tokens: int | None = Field(default=None, ge=1, description="as max_tokens")
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] | None = Field(
        default=None, description="likeliest tokens told at each place; goes with logprobs"
    )
    return_token_ids: bool | None = Field(
        default=None, description="extension, as vLLM's: tell each choice's token ids"
    )
    response_format: Format | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    modalities: list[Literal["text"]] | None = None
    reasoning_effort: str | None = Field(default=None, description="without effect here")
    verbosity: Literal["medium"] | None = Field(default=None, description="medium only")

    @property
    def limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


class TopLogprob(ApiModel):
    token: str
    logprob: float
    bytes: list[int] | None = Field(description="null for a special token, which writes nothing")


class TokenLogprob(ApiModel):
    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(ApiModel):
    content: list[TokenLogprob]
    refusal: None


class AnswerMessage(ApiModel):
    role: Literal["assistant"]
    content: str | None
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
