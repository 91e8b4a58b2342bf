"""The bodies of /v1/responses, as OpenAI writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from aipc.serve.api.schemas import ApiModel, SamplingBody, TimingsBody
from aipc.serve.openai.chat_schemas import (
    FunctionBody,
    JsonFormat,
    NamedFunction,
    SchemaBody,
    TextFormat,
    ToolName,
)
from aipc.serve.openai.schemas import StopReason

Nothing = Annotated[list[Any], Field(max_length=0)]
_STATELESS = "nothing is stored here; send the whole conversation as input"


class InputPart(ApiModel):
    type: Literal["input_text", "output_text", "text"]
    text: str
    annotations: Nothing | None = None
    logprobs: Nothing | None = None


class InputMessage(ApiModel):
    """Also an earlier answer's message, as it was given."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[InputPart], Field(min_length=1)]
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class InputCall(ApiModel):
    type: Literal["function_call"]
    call_id: str
    name: ToolName
    arguments: str
    id: str | None = None
    status: str | None = None


class InputCallOutput(ApiModel):
    type: Literal["function_call_output"]
    call_id: str
    output: str
    id: str | None = None
    status: str | None = None


InputItem = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[InputCall, Tag("function_call")]
    | Annotated[InputCallOutput, Tag("function_call_output")],
    Discriminator(lambda x: str(x.get("type", "message") if isinstance(x, dict) else "message")),
]


class FunctionTool(FunctionBody):
    type: Literal["function"]


class ChosenTool(NamedFunction):
    type: Literal["function"]


class FlatSchemaFormat(SchemaBody):
    type: Literal["json_schema"]


class TextOptions(ApiModel):
    format: (
        Annotated[TextFormat | JsonFormat | FlatSchemaFormat, Field(discriminator="type")] | None
    ) = None
    verbosity: Literal["medium"] | None = Field(default=None, description="medium only")


class ResponseStreamOptions(ApiModel):
    include_obfuscation: bool | None = Field(default=None, description="without effect here")


class ResponseRequest(SamplingBody):
    REFUSED: ClassVar[Mapping[str, str]] = {
        "conversation": _STATELESS,
        "prompt": _STATELESS,
        "max_tool_calls": "no tool is called here; each call is given to you",
    }

    input: str | Annotated[list[InputItem], Field(min_length=1, max_length=2048)]
    instructions: str | None = None
    max_output_tokens: int | None = Field(
        default=None, ge=1, description="longest answer, in tokens"
    )
    text: TextOptions | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: None = Field(default=None, description=_STATELESS)
    background: Literal[False] | None = Field(default=None, description="false only")
    truncation: Literal["disabled"] | None = Field(default=None, description="disabled only")
    include: Nothing | None = Field(default=None, description="empty only")
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = Field(
        default=None, description="0 only"
    )
    reasoning: dict[str, Any] | None = Field(default=None, description="without effect here")
    stream_options: ResponseStreamOptions | None = None


class OutputText(ApiModel):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Any]
    logprobs: list[Any]


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
    model: str
    output: list[Annotated[OutputMessage | OutputCall, Field(discriminator="type")]]
    error: None
    incomplete_details: IncompleteDetails | None
    stop_reason: StopReason = None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: None
    store: Literal[False]
    temperature: float | None
    text: TextOptions
    tool_choice: Literal["none", "auto", "required"] | ChosenTool
    tools: list[FunctionTool]
    top_p: float | None
    truncation: Literal["disabled"]
    usage: ResponseUsage | None
    timings: TimingsBody | None = None
