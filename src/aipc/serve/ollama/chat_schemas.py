"""The bodies of /api/chat, as Ollama writes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from aipc.generate.structured.tools import MAX_TOOLS
from aipc.serve.ollama.reply import OllamaReply
from aipc.serve.ollama.schemas import GeneratingBody, Images
from aipc.wire.schemas import ApiModel, RequestPart, Whole


def _small(role: Any) -> Any:
    return role.lower() if isinstance(role, str) else role


Role = Annotated[
    Literal["system", "developer", "user", "assistant", "tool"], BeforeValidator(_small)
]


class OllamaFunction(RequestPart):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OllamaTool(RequestPart):
    type: Literal["function"] | None = None
    function: OllamaFunction


class OllamaCalledFunction(RequestPart):
    name: str
    arguments: dict[str, Any] | str = Field(default_factory=dict)
    index: Whole | None = None


class OllamaCall(RequestPart):
    id: str | None = None
    function: OllamaCalledFunction


class OllamaMessage(RequestPart):
    """The content's text, or a tool's result; an assistant's as the answer gave it."""

    role: Role
    content: str | None = None
    thinking: str | None = None
    images: Images = Field(default=None, description="empty only")
    tool_calls: list[OllamaCall] | None = None
    tool_name: str | None = Field(default=None, description="of a result: which tool gave it")
    tool_call_id: str | None = Field(default=None, description="of a result: of which call it is")


class OllamaChatRequest(GeneratingBody):
    messages: Annotated[list[OllamaMessage], Field(max_length=2048)] | None = Field(
        default=None, description="without one the model is loaded, and no more"
    )
    tools: Annotated[list[OllamaTool], Field(max_length=MAX_TOOLS)] | None = None


class OllamaCallFunction(ApiModel):
    index: int
    name: str
    arguments: dict[str, Any]


class OllamaToolCall(ApiModel):
    id: str
    function: OllamaCallFunction


class OllamaAnswerMessage(ApiModel):
    role: Literal["assistant"]
    content: str
    thinking: str | None = None
    tool_calls: list[OllamaToolCall] | None = None


class OllamaChatReply(OllamaReply):
    message: OllamaAnswerMessage
