"""/v1/chat/completions: a conversation in, the next message out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aipc.serve.api import chat_reply
from aipc.serve.api.asker import Asker, client_of
from aipc.serve.api.chat_schemas import ChatRequest, Format, JsonFormat, NamedTool, SchemaFormat
from aipc.serve.api.json_body import json_response
from aipc.serve.api.schemas import read
from aipc.serve.http.connection import EventStream, while_connected
from aipc.serve.http.errors import HTTPError
from aipc.serve.requests import GenerationRequest


class Chat:
    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def answer(self, request: Request) -> Response:
        asked = read(ChatRequest, await request.body())
        asks = _asks(asked, client_of(request))
        answers = self._asker.answers(request, asked.model, asked.device, asks)
        if asked.stream:
            return EventStream(chat_reply.frames(asked, answers))
        return json_response(
            await while_connected(request.receive, chat_reply.whole(asked, answers))
        )


def _asks(asked: ChatRequest, client: str) -> list[GenerationRequest]:
    messages = [message.model_dump(exclude_none=True) for message in asked.messages]
    tools = [tool.model_dump(exclude_none=True) for tool in asked.tools or ()]
    return [
        GenerationRequest(
            messages=messages,
            sampling=asked.sampling(asked.limit, seed),
            stop=asked.stops,
            schema=_schema(asked.response_format),
            tools=tools,
            tool_choice=_tool_choice(asked.tool_choice),
            logprobs=bool(asked.logprobs),
            client=client,
        )
        for seed in asked.seeds()
    ]


def _schema(wanted: Format | None) -> Mapping[str, Any] | None:
    if isinstance(wanted, SchemaFormat):
        return wanted.json_schema.schema_
    return {"type": "object"} if isinstance(wanted, JsonFormat) else None


def _tool_choice(choice: str | NamedTool | None) -> str:
    if not isinstance(choice, NamedTool):
        return choice or "auto"
    return named_tool(choice.function.name)


def named_tool(name: str) -> str:
    """The name as a choice, which can't be one of the words for a choice."""
    if name in {"auto", "none", "required"}:
        raise HTTPError(400, f"a tool called '{name}' can't be chosen", param="tool_choice")
    return name
