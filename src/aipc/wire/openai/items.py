"""The items of a response's input, as clients write and replay them, made into a conversation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Tag

from aipc.wire.openai.messages import Content, Message, PastName, text_of, thought_of
from aipc.wire.openai.schemas import PASSED_OVER
from aipc.wire.refusals import by_member
from aipc.wire.schemas import RequestPart


class PastItem(RequestPart):
    """With what an answer's items have besides, when they come back."""

    id: str | None = None
    status: str | None = None


class InputMessage(PastItem):
    """Also an earlier answer's message, as it was given."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Content | None
    phase: str | None = None


class InputCall(PastItem):
    type: Literal["function_call"]
    call_id: str
    name: PastName
    arguments: str = ""
    """As the model wrote it, JSON or not."""


class InputCustomCall(PastItem):
    """A call of a tool that takes a text."""

    type: Literal["custom_tool_call"]
    call_id: str
    name: PastName
    input: str = ""


class InputAction(PastItem):
    """What a shell or an editor was to do, of whatever members it is."""

    type: Literal["local_shell_call", "shell_call", "apply_patch_call"]
    call_id: str
    action: dict[str, Any] | None = None
    operation: dict[str, Any] | None = None


class McpCall(RequestPart):
    """A call that OpenAI's server made, with its result."""

    type: Literal["mcp_call"]
    id: str
    name: PastName
    arguments: str = ""
    output: Any = None
    error: Any = None


class InputCallOutput(PastItem):
    type: Literal["function_call_output", "custom_tool_call_output", "local_shell_call_output"]
    call_id: str | None = None
    output: Content | None = None


class ShellOutput(PastItem):
    type: Literal["shell_call_output", "apply_patch_call_output"]
    call_id: str
    output: Any = None


class ReasoningItem(PastItem):
    """What the model thought: ``content`` is told to it again, a summary and a cipher are not."""

    type: Literal["reasoning"]
    content: Content | None = None
    summary: Any = None


class ItemReference(RequestPart):
    """An item of an earlier response that is kept here."""

    type: Literal["item_reference"] | None = None
    id: str


class HostedItem(RequestPart):
    """What a tool of OpenAI's did, without a text of its own."""

    IS_IGNORED: ClassVar = True

    type: str


_KINDS = {
    "message": "message",
    "function_call": "function_call",
    "function_call_output": "output",
    "custom_tool_call": "custom_call",
    "custom_tool_call_output": "output",
    "local_shell_call": "action",
    "local_shell_call_output": "output",
    "shell_call": "action",
    "shell_call_output": "shell_output",
    "apply_patch_call": "action",
    "apply_patch_call_output": "shell_output",
    "mcp_call": "mcp_call",
    "reasoning": "reasoning",
    "item_reference": "reference",
    **dict.fromkeys(PASSED_OVER, "hosted"),
}


def _kind(value: dict[str, Any]) -> str | None:
    kind = value.get("type")
    if kind is None:
        return "reference" if "id" in value and "role" not in value else "message"
    return _KINDS.get(kind) if isinstance(kind, str) else None


InputItem = Annotated[
    Annotated[InputMessage, Tag("=message")]
    | Annotated[InputCall, Tag("=function_call")]
    | Annotated[InputCustomCall, Tag("=custom_call")]
    | Annotated[InputAction, Tag("=action")]
    | Annotated[McpCall, Tag("=mcp_call")]
    | Annotated[InputCallOutput, Tag("=output")]
    | Annotated[ShellOutput, Tag("=shell_output")]
    | Annotated[ReasoningItem, Tag("=reasoning")]
    | Annotated[ItemReference, Tag("=reference")]
    | Annotated[HostedItem, Tag("=hosted")],
    by_member("type", *_KINDS, pick=_kind),
]


def item_messages(items: Iterable[InputItem]) -> list[Message]:
    """The messages for a `GenerationRequest`; successive calls are one of the assistant's."""
    told = _Conversation()
    for item in items:
        told.add(item)
    return told.messages


class _Conversation:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._thoughts: list[str] = []

    def add(self, item: InputItem) -> None:
        if isinstance(item, InputMessage):
            self._say(item)
        elif isinstance(item, ReasoningItem):
            thought = text_of(item.content) or thought_of(item.content)
            self._thoughts += [thought] if thought else []
        elif isinstance(item, InputCallOutput):
            self._result(item.call_id or item.id, text_of(item.output))
        elif isinstance(item, ShellOutput):
            self._result(item.call_id, _as_text(item.output))
        elif isinstance(item, McpCall):
            self._call(item.id, item.name, item.arguments)
            self._result(item.id, _as_text(item.output if item.error is None else item.error))
        elif not isinstance(item, ItemReference | HostedItem):
            self._call(item.call_id, *_called(item))

    def _say(self, item: InputMessage) -> None:
        message: Message = {"role": item.role, "content": text_of(item.content)}
        if item.role == "assistant":
            message |= self._thought() or _member(thought_of(item.content))
        else:
            self._thoughts = []
        self.messages.append(message)

    def _call(self, call_id: str, name: str, arguments: Any) -> None:
        if not self.messages or self.messages[-1]["role"] != "assistant" or self._thoughts:
            self.messages.append({"role": "assistant", **self._thought()})
        function = {"name": name, "arguments": arguments}
        call = {"id": call_id, "type": "function", "function": function}
        self.messages[-1].setdefault("tool_calls", []).append(call)

    def _result(self, call_id: str | None, text: str) -> None:
        more = {"tool_call_id": call_id} if call_id else {}
        self.messages.append({"role": "tool", **more, "content": text})

    def _thought(self) -> Message:
        thoughts, self._thoughts = self._thoughts, []
        return _member("\n".join(thoughts))


def _member(thought: str) -> Message:
    return {"reasoning_content": thought} if thought else {}


def _called(item: InputCall | InputCustomCall | InputAction) -> tuple[str, Any]:
    """Name and arguments; those of a custom tool are its ``input``."""
    if isinstance(item, InputCall):
        return item.name, item.arguments
    if isinstance(item, InputCustomCall):
        return item.name, {"input": item.input}
    return item.type.removesuffix("_call"), item.action or item.operation or {}


def _as_text(output: Any) -> str:
    if output is None or isinstance(output, str):
        return output or ""
    return json.dumps(output, ensure_ascii=False)
