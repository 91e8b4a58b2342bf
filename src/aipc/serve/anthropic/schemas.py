"""The bodies of /v1/messages, as Anthropic writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, Tag

from aipc.wire.refusals import by_member
from aipc.wire.schemas import ApiModel, RequestBody, RequestPart, Stop, sampling_field

ToolTitle = Annotated[str, Field(min_length=1, max_length=256)]


class Cached(RequestPart):
    """What may have a mark up to which the prompt shall be cached; runtimes decide that here."""

    cache_control: Any = Field(default=None, description="without effect here")


class TextBlock(Cached):
    type: Literal["text"]
    text: str
    citations: Any = Field(default=None, description="without effect here")


class ThinkingBlock(RequestPart):
    type: Literal["thinking"]
    thinking: str
    signature: Any = Field(default=None, description="not checked")


class ToolUseBlock(Cached):
    type: Literal["tool_use"]
    id: str
    name: ToolTitle
    input: dict[str, Any] = Field(default_factory=dict)


class SearchResultBlock(Cached):
    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextBlock]


class ToolReferenceBlock(Cached):
    type: Literal["tool_reference"]
    tool_name: str


class ToolResultBlock(Cached):
    type: Literal["tool_result"]
    tool_use_id: str
    content: Blocks | None = None
    is_error: bool | None = None


class DocumentSource(RequestPart):
    type: Literal["text", "content"]
    media_type: Any = None
    data: str = ""
    content: Blocks = Field(default_factory=list)


class DocumentBlock(Cached):
    type: Literal["document"]
    source: DocumentSource
    title: str | None = None
    context: str | None = None
    citations: Any = Field(default=None, description="without effect here")


_KINDS = ("text", "thinking", "tool_use", "tool_result", "search_result", "tool_reference")


class OtherBlock(RequestPart):
    """What the models here can't read, or what a tool of Anthropic's own servers did."""

    IS_IGNORED: ClassVar = True

    type: str = Field(json_schema_extra={"not": {"enum": [*_KINDS]}})


def _as_blocks(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _kind(block: Mapping[str, Any]) -> str:
    kind, source = block.get("type"), block.get("source")
    is_text = isinstance(source, dict) and source.get("type") in {"text", "content"}
    if kind == "document" and is_text:
        return "document"
    return kind if isinstance(kind, str) and kind in _KINDS else "other"


Block = Annotated[
    Annotated[TextBlock, Tag("=text")]
    | Annotated[ThinkingBlock, Tag("=thinking")]
    | Annotated[ToolUseBlock, Tag("=tool_use")]
    | Annotated[ToolResultBlock, Tag("=tool_result")]
    | Annotated[DocumentBlock, Tag("=document")]
    | Annotated[SearchResultBlock, Tag("=search_result")]
    | Annotated[ToolReferenceBlock, Tag("=tool_reference")]
    | Annotated[OtherBlock, Tag("=other")],
    by_member("type", *_KINDS, "document", pick=_kind),
]
Blocks = Annotated[
    list[Block], BeforeValidator(_as_blocks, json_schema_input_type=str | list[Block])
]
TextBlocks = Annotated[
    list[TextBlock], BeforeValidator(_as_blocks, json_schema_input_type=str | list[TextBlock])
]


class MessageParam(RequestPart):
    role: Literal["user", "assistant", "system"]
    content: Blocks


class ClientTool(Cached):
    """A function of the client's."""

    type: Literal["custom"] | None = None
    name: ToolTitle
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None


class AnthropicTool(RequestPart):
    """One that Anthropic runs or describes itself."""

    IS_IGNORED: ClassVar = True

    type: str = Field(json_schema_extra={"not": {"const": "custom"}})


def _whose(tool: Mapping[str, Any]) -> str:
    return "client" if tool.get("type") in {None, "custom"} else "anthropic"


ToolParam = Annotated[
    Annotated[ClientTool, Tag("=client")] | Annotated[AnthropicTool, Tag("=anthropic")],
    by_member("type", "custom", pick=_whose),
]


class ToolChoice(RequestPart):
    type: Literal["auto", "any", "tool", "none"]
    name: ToolTitle | None = Field(default=None, description='of the type "tool"')
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(RequestPart):
    type: Literal["enabled", "disabled", "adaptive", "between_tools"] = Field(
        description="all but the first two leave it to the model"
    )
    budget_tokens: int | None = Field(default=None, ge=1)
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(RequestPart):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(RequestPart):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class CountRequest(RequestBody, Cached):
    """What a prompt is made of."""

    thread: Any = Field(default=None, description="refused: nothing is stored here")
    metadata: Any = Field(default=None, description="without effect here")
    service_tier: Any = Field(default=None, description="without effect here")
    messages: Annotated[list[MessageParam], Field(min_length=1, max_length=4096)]
    system: TextBlocks | None = None
    tools: Annotated[list[ToolParam], Field(max_length=256)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = Field(
        default=None, description="as `format` of `output_config`"
    )

    @property
    def functions(self) -> list[ClientTool]:
        return [tool for tool in self.tools or () if isinstance(tool, ClientTool)]

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


class ErrorDetails(ApiModel):
    error_code: str


class AnthropicErrorMembers(ApiModel):
    type: str
    message: str
    details: ErrorDetails | None = Field(default=None, description="left out without a code")


class AnthropicErrorBody(ApiModel):
    """What every refusal of Anthropic's paths holds."""

    type: Literal["error"]
    error: AnthropicErrorMembers
    request_id: str
