"""/api/chat: a conversation in, the next message out, in lines or whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from aipc.generate import ToolCall
from aipc.generate.request import GenerationRequest
from aipc.serve.api.dispatch import Dispatcher, client_of
from aipc.serve.ollama.chat_schemas import (
    OllamaAnswerMessage,
    OllamaCall,
    OllamaCallFunction,
    OllamaChatReply,
    OllamaChatRequest,
    OllamaMessage,
    OllamaTool,
    OllamaToolCall,
)
from aipc.serve.ollama.loading import load_or_unload
from aipc.serve.ollama.reply import Answer, Piece
from aipc.wire.schemas import read

if TYPE_CHECKING:
    from aipc.pool.pool import Pool


async def answer_chat(pool: Pool, dispatcher: Dispatcher, request: Request) -> Response:
    body = read(OllamaChatRequest, await request.body())
    answer = Answer(body, OllamaChatReply, _Message())
    if not body.messages:
        return answer.loaded(await load_or_unload(pool, body))
    asked = GenerationRequest(
        messages=_conversation(body.messages),
        tools=[_tool(tool) for tool in body.tools or ()],
        continue_final_message=_is_begun(body.messages[-1]),
        client=client_of(request),
        **body.asking(),
    )
    return await answer.respond(dispatcher, request, asked)


def _is_begun(last: OllamaMessage) -> bool:
    """Whether the answer is to go on where the conversation ends."""
    return last.role == "assistant" and bool(last.content) and not last.tool_calls


def _tool(tool: OllamaTool) -> dict[str, Any]:
    return {"type": "function", "function": tool.function.model_dump(exclude_none=True)}


class _Message:
    """The members of a reply; calls are numbered through the whole answer."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, piece: Piece) -> dict[str, Any]:
        more: dict[str, Any] = {"thinking": piece.thinking} if piece.thinking else {}
        if piece.calls:
            more["tool_calls"] = [*self._numbered(piece.calls)]
        return {"message": OllamaAnswerMessage(role="assistant", content=piece.text, **more)}

    def _numbered(self, calls: Sequence[ToolCall]) -> Iterator[OllamaToolCall]:
        for call in calls:
            arguments = json.loads(call.arguments)
            function = OllamaCallFunction(index=self._calls, name=call.name, arguments=arguments)
            self._calls += 1
            yield OllamaToolCall(id=call.id, function=function)


def _conversation(messages: Sequence[OllamaMessage]) -> list[dict[str, Any]]:
    """The messages in OpenAI's form: a call has an id there, and its result names it.

    Ollama's clients often send neither.  A result without an id is then that of the first call
    of its tool's name, or of the first call at all, that has none yet.
    """
    waiting: dict[str, str] = {}  # id of a call without a result: the tool's name
    turns: list[dict[str, Any]] = []
    for message in messages:
        turn = _turn(message)
        if message.tool_calls:
            calls = [_call(call, f"call_{len(turns)}_{at}") for at, call in _each(message)]
            turn["tool_calls"] = calls
            waiting = {call["id"]: call["function"]["name"] for call in calls}
        elif message.role == "tool":
            turn |= _answered(message, waiting)
        turns.append(turn)
    return turns


def _each(message: OllamaMessage) -> Iterator[tuple[int, OllamaCall]]:
    return enumerate(message.tool_calls or ())


def _turn(message: OllamaMessage) -> dict[str, Any]:
    thinking = {"reasoning_content": message.thinking} if message.thinking else {}
    return {"role": message.role, "content": message.content or "", **thinking}


def _call(call: OllamaCall, otherwise: str) -> dict[str, Any]:
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id or otherwise, "type": "function", "function": function}


def _answered(message: OllamaMessage, waiting: dict[str, str]) -> dict[str, str]:
    """The members that say which call a tool's result is of; takes the call off ``waiting``."""
    named = [key for key, name in waiting.items() if message.tool_name in {None, name}]
    key = message.tool_call_id or next(iter([*named, *waiting]), None)
    name = waiting.pop(key, None) if key else None
    members = {"tool_call_id": key, "name": message.tool_name or name}
    return {member: value for member, value in members.items() if value}
