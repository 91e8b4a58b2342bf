"""/v1/messages: a conversation in, the next message out, whole or in events; and its tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aipc.generate import Finished
from aipc.generate.request import GenerationRequest
from aipc.serve.anthropic.errors import error_frame
from aipc.serve.anthropic.message_writer import PING, MessageWriter
from aipc.serve.anthropic.schemas import (
    ClientTool,
    CountRequest,
    MessageBody,
    MessageRequest,
    TokenCount,
)
from aipc.serve.anthropic.transcript import Transcript
from aipc.serve.api.dispatch import Dispatcher, client_of
from aipc.serve.http.connection import EventStream, json_response, telling_ignored, while_connected
from aipc.serve.http.errors import REQUEST_ID
from aipc.wire.errors import HTTPError, new_request_id
from aipc.wire.exchange import IndexedEvents
from aipc.wire.schemas import read

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_NO_THREADS = "thread_unsupported_request"  # at which Anthropic's tool runners leave it out
_EFFORTS = {"max": "xhigh"}


async def answer_message(dispatcher: Dispatcher, request: Request) -> Response:
    body = read(MessageRequest, await request.body())
    asked = replace(
        _prompt_request(body, client_of(request)),
        sampling=body.sampling(),
        stop=tuple(body.stop_sequences or ()),
        tell_prompt=bool(body.stream),
    )
    model = await dispatcher.name_of(body.model)
    events = dispatcher.events(request, model, body.device, [asked], whole=not body.stream)
    writer = MessageWriter(body, model)
    if body.stream:
        return _named(EventStream(_frames(writer, events), error_frame, heartbeat=PING), body)
    message = await while_connected(request.receive, _message(writer, events))
    return _named(json_response(message), body)


async def count_tokens(dispatcher: Dispatcher, request: Request) -> Response:
    """Exactly those of the prompt that `answer_message` would give the model."""
    body = read(CountRequest, await request.body())
    asked = replace(_prompt_request(body, client_of(request)), count_only=True)
    events = dispatcher.events(request, body.model, body.device, [asked])
    counted = await while_connected(request.receive, _count(events))
    return _named(json_response(TokenCount(input_tokens=counted)), body)


def _named(response: Response, body: CountRequest) -> Response:
    response.headers[REQUEST_ID] = new_request_id()
    return telling_ignored(response, body)


def _prompt_request(body: CountRequest, client: str) -> GenerationRequest:
    if body.thread is not None:
        what = "thread: nothing is stored here; send the whole conversation, without it"
        raise HTTPError(400, what, code=_NO_THREADS, param="thread")
    transcript = Transcript(body)
    return GenerationRequest(
        messages=transcript.messages,
        continue_final_message=transcript.is_open,
        schema=body.schema_wanted,
        tools=[_function(tool) for tool in body.functions],
        tool_choice=_tool_choice(body),
        strict=body.schema_wanted is not None or any(tool.strict for tool in body.functions),
        client=client,
        **_thinking(body),
    )


def _function(tool: ClientTool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    function = {"name": tool.name, **described, "parameters": tool.input_schema}
    return {"type": "function", "function": function}


def _tool_choice(body: CountRequest) -> str:
    choice, names = body.tool_choice, {tool.name for tool in body.functions}
    if choice is None:
        return "auto"
    if choice.type != "tool":
        return _CHOICES[choice.type] if names else "auto"
    if choice.name not in names or choice.name in {*_CHOICES, "required"}:
        what = f"tool_choice.name: no tool called '{choice.name}' can be chosen"
        raise HTTPError(400, what, code="invalid_value", param="tool_choice.name")
    return str(choice.name)


def _thinking(body: CountRequest) -> dict[str, Any]:
    """The fields of `GenerationRequest` that say how to think."""
    config, output = body.thinking, body.output_config
    switches = {"enabled": True, "disabled": False}
    effort = output.effort if output else None
    return {
        "think": switches.get(config.type) if config else None,
        "thinking_budget": config.budget_tokens if config and config.type == "enabled" else None,
        "reasoning_effort": _EFFORTS.get(effort, effort) if effort else None,
    }


async def _message(writer: MessageWriter, events: IndexedEvents) -> MessageBody:
    async with aclosing(events):
        async for _, event in events:
            for _ in writer.frames(event):
                pass
    return writer.message


async def _frames(writer: MessageWriter, events: IndexedEvents) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for _, event in events:
            for each in writer.frames(event):
                yield each


async def _count(events: IndexedEvents) -> int:
    counted = 0
    async with aclosing(events):
        async for _, event in events:
            if isinstance(event, Finished):
                counted = event.usage.prompt_tokens
    return counted
