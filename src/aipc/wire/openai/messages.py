"""The messages of a chat, as clients write and replay them, made into a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, Tag

from aipc.wire.refusals import by_member, by_shape
from aipc.wire.schemas import RequestPart

Message = dict[str, Any]
"""As `aipc.generate.conversation.Message`."""

PastName = Annotated[str, Field(min_length=1, max_length=256)]
"""A function's name in the history, whatever it is: it isn't offered by that."""


TextKind = Literal["text", "input_text", "output_text", "refusal"]
ThoughtKind = Literal[
    "thinking", "reasoning", "reasoning_text", "summary_text", "redacted_thinking"
]


class TextPart(RequestPart):
    type: TextKind
    text: str | None = None
    refusal: str | None = None
    annotations: Any = None
    logprobs: Any = None

    @property
    def said(self) -> str:
        return self.text or self.refusal or ""


class ThoughtPart(RequestPart):
    """What the model thought, in the forms of Mistral, LangChain and LiteLLM."""

    type: ThoughtKind
    text: Any = None
    thinking: Any = None
    reasoning: Any = None

    @property
    def thought(self) -> str:
        return _first_text(self.text, self.thinking, self.reasoning)


def _part(value: dict[str, Any]) -> str | None:
    kind = value.get("type")
    is_thought = kind in get_args(ThoughtKind)
    return "text" if kind in get_args(TextKind) else "thought" if is_thought else None


Part = Annotated[
    Annotated[TextPart, Tag("=text")] | Annotated[ThoughtPart, Tag("=thought")],
    by_member("type", *get_args(TextKind), pick=_part),
]
TextOrPart = Annotated[
    Annotated[str, Tag("=text")] | Annotated[Part, Tag("=object")], by_shape("text", "object")
]
Content = Annotated[
    Annotated[str, Tag("=text")] | Annotated[list[TextOrPart], Tag("=list")],
    by_shape("text", "list"),
]


def text_of(content: Content | None) -> str:
    """The text; that of several parts on a line each."""
    if isinstance(content, str):
        return content
    return "\n".join(
        part if isinstance(part, str) else part.said
        for part in content or ()
        if not isinstance(part, ThoughtPart)
    )


def thought_of(content: Content | None) -> str:
    parts = () if isinstance(content, str) else content or ()
    return "\n".join(part.thought for part in parts if isinstance(part, ThoughtPart))


def _first_text(*values: Any) -> str:
    return next((value for value in values if isinstance(value, str) and value), "")


class PastFunction(RequestPart):
    name: PastName
    arguments: Annotated[
        Annotated[str, Tag("=text")] | Annotated[dict[str, Any], Tag("=object")],
        by_shape("text", "object"),
    ] = ""
    """As the model wrote it, JSON or not."""


class PastCustom(RequestPart):
    name: PastName
    input: str = ""


class PastCall(RequestPart):
    """A call of the history, with or without the members that its stream had."""

    id: str | None = None
    type: Literal["function"] | None = None
    function: PastFunction


class PastCustomCall(RequestPart):
    """A call of a tool that takes a text."""

    id: str | None = None
    type: Literal["custom"]
    custom: PastCustom


def _call_kind(value: dict[str, Any]) -> str | None:
    kind = value.get("type") or "function"
    return kind if kind in {"function", "custom"} else None


AnyCall = Annotated[
    Annotated[PastCall, Tag("=function")] | Annotated[PastCustomCall, Tag("=custom")],
    by_member("type", "function", "custom", pick=_call_kind),
]


class SystemMessage(RequestPart):
    role: Literal["system", "developer"]
    content: Content | None
    name: str | None = None


class UserMessage(RequestPart):
    role: Literal["user"]
    content: Content | None
    name: str | None = None


class AssistantMessage(RequestPart):
    """As an answer gave it, here or elsewhere."""

    role: Literal["assistant"]
    content: Content | None = None
    refusal: str | None = None
    annotations: Any = None
    audio: None = Field(default=None, description="null only: a sound can't be replayed")
    tool_calls: list[AnyCall] | None = None
    function_call: PastFunction | None = Field(default=None, description="the older tool_calls")
    reasoning_content: Any = Field(default=None, description="a text: what the model thought")
    reasoning: Any = Field(default=None, description="as reasoning_content")
    thinking: Any = Field(default=None, description="as reasoning_content")
    name: str | None = None


class ToolMessage(RequestPart):
    role: Literal["tool"]
    content: Content | None = None
    tool_call_id: str | None = None
    name: str | None = None


class FunctionMessage(RequestPart):
    """The older form of a tool's message."""

    role: Literal["function"]
    content: Content | None = None
    name: str | None = None


_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def _role(value: dict[str, Any]) -> str | None:
    role = value.get("role")
    return "system" if role == "developer" else role if role in _ROLES else None


AnyMessage = Annotated[
    Annotated[SystemMessage, Tag("=system")]
    | Annotated[UserMessage, Tag("=user")]
    | Annotated[AssistantMessage, Tag("=assistant")]
    | Annotated[ToolMessage, Tag("=tool")]
    | Annotated[FunctionMessage, Tag("=function")],
    by_member("role", *_ROLES, pick=_role),
]


def conversation(messages: Sequence[AnyMessage]) -> list[Message]:
    """The messages for a `GenerationRequest`; results of tools have the id of a call."""
    turns: list[Message] = []
    unanswered: list[tuple[str, str]] = []
    for message in messages:
        if isinstance(message, AssistantMessage):
            turn = _assistant(message, len(turns))
            calls = turn.get("tool_calls", ())
            unanswered += [(call["id"], call["function"]["name"]) for call in calls]
        elif isinstance(message, ToolMessage | FunctionMessage):
            turn = _result(message, unanswered)
        else:
            turn = {"role": message.role, "content": text_of(message.content)}
            turn |= {"name": message.name} if message.name else {}
        turns.append(turn)
    return turns


def _assistant(message: AssistantMessage, at: int) -> Message:
    thought = _first_text(
        message.reasoning_content, message.reasoning, message.thinking, thought_of(message.content)
    )
    text = text_of(message.content) or message.refusal or ""
    calls = [
        _call(call, f"call_{at}_{index}") for index, call in enumerate(message.tool_calls or ())
    ]
    if message.function_call and not calls:
        calls = [_function_call(f"call_{at}_0", message.function_call)]
    turn: Message = {"role": "assistant", "content": text}
    more = {"name": message.name, "reasoning_content": thought, "tool_calls": calls}
    return turn | {member: value for member, value in more.items() if value}


def _call(call: AnyCall, own_id: str) -> Message:
    """A call of a custom tool is told as one of a function with an ``input``."""
    if isinstance(call, PastCustomCall):
        function = PastFunction(name=call.custom.name, arguments={"input": call.custom.input})
        return _function_call(call.id or own_id, function)
    return _function_call(call.id or own_id, call.function)


def _function_call(call_id: str, function: PastFunction) -> Message:
    members = {"name": function.name, "arguments": function.arguments}
    return {"id": call_id, "type": "function", "function": members}


def _result(message: ToolMessage | FunctionMessage, unanswered: list[tuple[str, str]]) -> Message:
    """A result without an id is that of the first call without one, of its name if it has one."""
    call_id = message.tool_call_id if isinstance(message, ToolMessage) else None
    names = dict(unanswered)
    if not call_id:
        fitting = (one for one, name in unanswered if message.name in {None, name})
        call_id = next(fitting, None)
    unanswered[:] = [one for one in unanswered if one[0] != call_id]
    turn: Message = {"role": "tool", "content": text_of(message.content)}
    name = message.name or names.get(call_id or "")
    more = {"tool_call_id": call_id, "name": name}
    return turn | {member: value for member, value in more.items() if value}


def without_oldest(messages: Sequence[Mapping[str, Any]], turns: int) -> list[Mapping[str, Any]]:
    """The messages without their first turns, each from a user's message up to the next one.

    What stands before the first turn stays, and so does the last turn; empty where there is none
    to leave out.
    """
    starts = [at for at, message in enumerate(messages) if message["role"] == "user"]
    if len(starts) < 2:
        return []
    return [*messages[: starts[0]], *messages[starts[min(turns, len(starts) - 1)] :]]
