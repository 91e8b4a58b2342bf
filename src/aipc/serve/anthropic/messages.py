"""/v1/messages: a conversation in, the next message out, whole or in events; and its tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aipc.generate import Finished
from aipc.generate.request import GenerationRequest
from aipc.serve.anthropic.errors import error_frame
from aipc.serve.anthropic.message_writer import MessageWriter
from aipc.serve.anthropic.schemas import (
    CountRequest,
    MessageBody,
    MessageRequest,
    TokenCount,
    ToolDefinition,
)
from aipc.serve.anthropic.transcript import Transcript
from aipc.serve.api.dispatch import Dispatcher, IndexedEvents, client_of
from aipc.serve.api.schemas import json_response, read
from aipc.serve.http.connection import EventStream, while_connected
from aipc.serve.http.errors import REQUEST_ID, HTTPError, new_request_id

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_EFFORTS = {"max": "xhigh"}


async def answer_message(dispatcher: Dispatcher, request: Request) -> Response:
    body = read(MessageRequest, await request.body())
    asked, headers = _generation_request(body, client_of(request))
    model = await dispatcher.name_of(body.model)
    events = dispatcher.events(request, model, body.device, [asked])
    writer = MessageWriter(body, model)
    if body.stream:
        response: Response = EventStream(_frames(writer, events), error_frame)
    else:
        answer = await while_connected(request.receive, _message(writer, events))
        response = json_response(answer)
    response.headers.update(headers)
    return response


async def count_tokens(dispatcher: Dispatcher, request: Request) -> Response:
    """Exactly those of the prompt that `answer_message` would give the model."""
    body = read(CountRequest, await request.body())
    asked, headers = _generation_request(body, client_of(request))
    events = dispatcher.events(request, body.model, body.device, [asked])
    counted = await while_connected(request.receive, _count(events))
    response = json_response(TokenCount(input_tokens=counted))
    response.headers.update(headers)
    return response


def _generation_request(
    body: CountRequest, client: str
) -> tuple[GenerationRequest, dict[str, str]]:
    """The request, and the headers of its response."""
    transcript = Transcript(body)
    tools, left_out = _tools(body)
    answer = body if isinstance(body, MessageRequest) else None
    asked = GenerationRequest(
        messages=transcript.messages,
        continue_final_message=transcript.is_open,
        count_only=answer is None,
        sampling=answer.sampling() if answer else {},
        stop=tuple(answer.stop_sequences or ()) if answer else (),
        schema=body.schema_wanted,
        tools=[_function(tool) for tool in tools],
        tool_choice=_tool_choice(body, tools),
        strict=body.schema_wanted is not None or any(tool.strict for tool in tools),
        client=client,
        **_thinking(body),
    )
    ignored = [*transcript.ignored, *left_out]
    return asked, {REQUEST_ID: new_request_id(), **_ignored(ignored)}


def _ignored(paths: list[str]) -> dict[str, str]:
    shown = ", ".join(paths).encode("ascii", "replace").decode()[:512]
    return {"x-aipc-ignored": shown} if shown else {}


def _tools(body: CountRequest) -> tuple[list[ToolDefinition], list[str]]:
    """The functions, and the paths of the tools that are none."""
    kept, left_out = [], []
    for place, tool in enumerate(body.tools or ()):
        path = f"tools.{place}"
        if not tool.is_custom:
            left_out.append(f"{path} ({tool.type})")
        elif tool.name is None or tool.input_schema is None:
            missing = "name" if tool.name is None else "input_schema"
            what = f"{path}.{missing}: a tool has a name and an input_schema"
            raise HTTPError(400, what, code="invalid_value", param=f"{path}.{missing}")
        else:
            kept.append(tool)
    return kept, left_out


def _function(tool: ToolDefinition) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    function = {"name": tool.name, **described, "parameters": tool.input_schema}
    return {"type": "function", "function": function}


def _tool_choice(body: CountRequest, tools: list[ToolDefinition]) -> str:
    choice = body.tool_choice
    if choice is None:
        return "auto"
    if choice.type != "tool":
        return _CHOICES[choice.type] if tools else "auto"
    if choice.name not in {tool.name for tool in tools} or choice.name in {*_CHOICES, "required"}:
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
