"""The bodies of /v1/messages, as Anthropic writes them.

Members that are not listed here are taken and have no effect; the model's answer is the same.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from aipc.serve.api.schemas import ApiModel, RequestBody, Stop, sampling_field

ToolTitle = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]


class OpenModel(ApiModel):
    """An object of a client's, which may have more members than are known here."""

    model_config = ConfigDict(extra="allow")


class TextBlock(OpenModel):
    type: Literal["text"]
    text: str


class ThinkingBlock(OpenModel):
    type: Literal["thinking"]
    thinking: str
    signature: str | None = None


class ToolUseBlock(OpenModel):
    type: Literal["tool_use"]
    id: str
    name: ToolTitle
    input: dict[str, Any]


class SearchResultBlock(OpenModel):
    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextBlock]


def _as_blocks(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _kind(block: Any) -> str:
    kind = block.get("type") if isinstance(block, dict) else None
    return kind if kind in _KINDS else "other"


class DocumentSource(OpenModel):
    type: str
    data: str | None = None
    content: Blocks | None = None


class DocumentBlock(OpenModel):
    type: Literal["document"]
    source: DocumentSource
    title: str | None = None
    context: str | None = None


class ToolResultBlock(OpenModel):
    type: Literal["tool_result"]
    tool_use_id: str
    content: Blocks | None = None
    is_error: bool | None = None


_KINDS = ("text", "thinking", "tool_use", "tool_result", "document", "search_result")


class OtherBlock(OpenModel):
    """An image, or of any other kind, such as what a tool of Anthropic's own servers did."""

    model_config = ConfigDict(
        json_schema_extra={"not": {"properties": {"type": {"enum": [*_KINDS]}}}}
    )

    type: str
    tool_name: Any = None


Block = Annotated[
    Annotated[TextBlock, Tag("text")]
    | Annotated[ThinkingBlock, Tag("thinking")]
    | Annotated[ToolUseBlock, Tag("tool_use")]
    | Annotated[ToolResultBlock, Tag("tool_result")]
    | Annotated[DocumentBlock, Tag("document")]
    | Annotated[SearchResultBlock, Tag("search_result")]
    | Annotated[OtherBlock, Tag("other")],
    Discriminator(_kind),
]
Blocks = Annotated[
    list[Block], BeforeValidator(_as_blocks, json_schema_input_type=str | list[Block])
]
TextBlocks = Annotated[
    list[TextBlock], BeforeValidator(_as_blocks, json_schema_input_type=str | list[TextBlock])
]


class MessageParam(OpenModel):
    role: Literal["user", "assistant", "system"]
    content: Blocks


class ToolDefinition(OpenModel):
    """A function of the client's; one with another ``type`` is Anthropic's own and left out."""

    type: str | None = None
    name: ToolTitle | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None

    @property
    def is_custom(self) -> bool:
        return self.type in {None, "custom"}


class ToolChoice(OpenModel):
    type: Literal["auto", "any", "tool", "none"]
    name: ToolTitle | None = Field(default=None, description='of the type "tool"')
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(OpenModel):
    type: Literal["enabled", "disabled", "adaptive", "between_tools"] = Field(
        description="all but the first two leave it to the model"
    )
    budget_tokens: int | None = Field(default=None, ge=1)
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(OpenModel):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(OpenModel):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class CountRequest(RequestBody):
    """What a prompt is made of."""

    model_config = ConfigDict(extra="allow")

    cache_control: Any = Field(default=None, description="without effect here")
    thread: None = Field(default=None, description="nothing is stored here")
    messages: Annotated[list[MessageParam], Field(min_length=1, max_length=4096)]
    system: TextBlocks | None = None
    tools: Annotated[list[ToolDefinition], Field(max_length=256)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = Field(
        default=None, description="as `format` of `output_config`"
    )

    @property
    def schema_wanted(self) -> dict[str, Any] | None:
        given = self.output_config.format if self.output_config else None
        form = given or self.output_format
        return form.schema_ if form else None


class MessageRequest(CountRequest):
    max_tokens: int = Field(ge=1, description="longest answer, in tokens, thinking included")
    stop_sequences: Annotated[list[Stop], Field(max_length=64)] | None = None
    stream: bool | None = None
    temperature: float | None = sampling_field("temperature")
    top_p: float | None = sampling_field("top_p")
    top_k: int | None = sampling_field("top_k")

    def sampling(self) -> dict[str, Any]:
        """The fields of `Sampling` that were given."""
        given = {name: getattr(self, name) for name in ("temperature", "top_p", "top_k")}
        fields = {**given, "max_new_tokens": self.max_tokens}
        return {name: value for name, value in fields.items() if value is not None}


class TokenCount(ApiModel):
    input_tokens: int


class AnswerText(ApiModel):
    type: Literal["text"]
    text: str


class AnswerThinking(ApiModel):
    type: Literal["thinking"]
    thinking: str
    signature: str


class AnswerToolUse(ApiModel):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


AnswerBlock = AnswerText | AnswerThinking | AnswerToolUse
MessageEnding = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"
]


class ThinkingTokens(ApiModel):
    thinking_tokens: int


class MessageUsage(ApiModel):
    input_tokens: int = Field(description="of the prompt, those of the cache left out")
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: ThinkingTokens


class MessageBody(ApiModel):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str = Field(description="the one that answered")
    content: list[AnswerBlock]
    stop_reason: MessageEnding | None
    stop_sequence: str | None
    usage: MessageUsage


class AnthropicErrorMembers(ApiModel):
    type: str
    message: str


class AnthropicErrorBody(ApiModel):
    """What every refusal of Anthropic's paths holds."""

    type: Literal["error"]
    error: AnthropicErrorMembers
    request_id: str
