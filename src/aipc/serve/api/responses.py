"""/v1/responses: OpenAI's newer form of the same, without anything stored between requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aipc.serve.api.asker import Asker, Numbered, client_of
from aipc.serve.api.chat import named_tool
from aipc.serve.api.chat_schemas import JsonFormat
from aipc.serve.api.json_body import json_response
from aipc.serve.api.response_reply import ResponseWriter
from aipc.serve.api.responses_schemas import (
    ChosenTool,
    FlatSchemaFormat,
    FunctionTool,
    InputCall,
    InputCallOutput,
    InputMessage,
    ResponseBody,
    ResponseRequest,
    TextOptions,
)
from aipc.serve.api.schemas import read
from aipc.serve.http.connection import EventStream, waiting_frame, while_connected
from aipc.serve.requests import GenerationRequest, Waiting


class Responses:
    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def answer(self, request: Request) -> Response:
        asked = read(ResponseRequest, await request.body())
        ask = _ask(asked, client_of(request))
        answers = self._asker.answers(request, asked.model, asked.device, [ask])
        writer = ResponseWriter(asked)
        if asked.stream:
            return EventStream(_frames(writer, answers), writer.error_frame)
        return json_response(await while_connected(request.receive, _whole(writer, answers)))


def _ask(asked: ResponseRequest, client: str) -> GenerationRequest:
    choice = asked.tool_choice
    return GenerationRequest(
        messages=_messages(asked),
        sampling=asked.sampling(asked.max_output_tokens),
        schema=_schema(asked.text),
        tools=[_tool(tool) for tool in asked.tools or ()],
        tool_choice=named_tool(choice.name) if isinstance(choice, ChosenTool) else choice or "auto",
        client=client,
    )


def _messages(asked: ResponseRequest) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if asked.instructions:
        messages.append({"role": "system", "content": asked.instructions})
    if isinstance(asked.input, str):
        return [*messages, {"role": "user", "content": asked.input}]
    for item in asked.input:
        _add(messages, item)
    return messages


def _add(messages: list[dict[str, Any]], item: InputMessage | InputCall | InputCallOutput) -> None:
    """As a conversation has it: calls that come together are one message of the assistant's."""
    if isinstance(item, InputMessage):
        messages.append({"role": item.role, "content": _text(item)})
    elif isinstance(item, InputCallOutput):
        messages.append({"role": "tool", "tool_call_id": item.call_id, "content": item.output})
    else:
        if not messages or messages[-1]["role"] != "assistant":
            messages.append({"role": "assistant"})
        function = {"name": item.name, "arguments": item.arguments}
        call = {"id": item.call_id, "type": "function", "function": function}
        messages[-1].setdefault("tool_calls", []).append(call)


def _text(message: InputMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(part.text for part in message.content)


def _tool(tool: FunctionTool) -> Mapping[str, Any]:
    function = tool.model_dump(exclude_none=True, exclude={"type"})
    return {"type": "function", "function": function}


def _schema(wanted: TextOptions | None) -> Mapping[str, Any] | None:
    form = wanted.format if wanted else None
    if isinstance(form, FlatSchemaFormat):
        return form.schema_
    return {"type": "object"} if isinstance(form, JsonFormat) else None


async def _whole(writer: ResponseWriter, answers: AsyncGenerator[Numbered, None]) -> ResponseBody:
    async with aclosing(answers) as sayings:
        async for _, saying in sayings:
            writer.frames(saying)
    return writer.body


async def _frames(
    writer: ResponseWriter, answers: AsyncGenerator[Numbered, None]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(answers) as sayings:
        async for _, saying in sayings:
            told: Sequence[bytes] = (
                [waiting_frame(saying)] if isinstance(saying, Waiting) else writer.frames(saying)
            )
            for each in told:
                yield each
