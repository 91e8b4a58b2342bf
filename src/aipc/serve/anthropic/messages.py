"""/v1/messages: a conversation in, the next message out, whole or in events; and its tokens."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from operator import methodcaller
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aipc.generate import Finished, Text, Thinking, ToolCall
from aipc.generate.request import GenerationRequest
from aipc.serve.anthropic.errors import error_frame
from aipc.serve.anthropic.messages_schemas import (
    AnswerBlock,
    AnswerText,
    AnswerThinking,
    AnswerToolUse,
    CountRequest,
    MessageBody,
    MessageEnding,
    MessageRequest,
    MessageUsage,
    ThinkingTokens,
    TokenCount,
    ToolDefinition,
)
from aipc.serve.anthropic.transcript import Transcript
from aipc.serve.api.dispatch import Dispatcher, IndexedEvents, client_of
from aipc.serve.api.schemas import json_response, read
from aipc.serve.http.connection import EventStream, frame, while_connected
from aipc.serve.http.errors import REQUEST_ID, HTTPError, new_request_id
from aipc.serve.worker.messages import ServerEvent, Waiting

_DUMP = methodcaller("model_dump")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_EFFORTS = {"max": "xhigh"}
_PING = frame('{"type":"ping"}', "ping")


async def answer_message(dispatcher: Dispatcher, request: Request) -> Response:
    body = read(MessageRequest, await request.body())
    asked, headers = _generation_request(body, client_of(request))
    model = await dispatcher.name_of(body.model)
    events = dispatcher.events(request, model, body.device, [asked])
    writer = _MessageWriter(body, model)
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


async def _message(writer: _MessageWriter, events: IndexedEvents) -> MessageBody:
    async with aclosing(events):
        async for _, event in events:
            for _ in writer.frames(event):
                pass
    return writer.message


async def _frames(writer: _MessageWriter, events: IndexedEvents) -> AsyncGenerator[bytes, None]:
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


class _MessageWriter:
    """Builds ``message`` from a request's events; each step is one server-sent event."""

    def __init__(self, body: MessageRequest, model: str) -> None:
        choice = body.tool_choice
        self._wants_one_call = bool(choice and choice.disable_parallel_tool_use)
        self._hides_thinking = bool(body.thinking and body.thinking.display == "omitted")
        self._limit = body.max_tokens
        self._has_begun = False
        self._open: AnswerText | AnswerThinking | None = None
        self._digest = hashlib.sha256()
        self.message = MessageBody(
            id=f"msg_{new_request_id().partition('_')[2]}",
            type="message",
            role="assistant",
            model=model,
            content=[],
            stop_reason=None,
            stop_sequence=None,
            usage=_usage(None),
        )

    def frames(self, event: ServerEvent) -> Iterator[bytes]:
        """The server-sent events of one event."""
        if isinstance(event, Waiting):
            yield _PING
            return
        if not self._has_begun:
            self._has_begun = True
            yield _event("message_start", message=self.message)
        if isinstance(event, Text) and event.text:
            yield from self._write(event.text)
        elif isinstance(event, Thinking) and event.thinking:
            yield from self._think(event.thinking)
        elif isinstance(event, ToolCall):
            yield from self._call(event)
        elif isinstance(event, Finished):
            yield from self._finish(event)

    def _write(self, text: str) -> Iterator[bytes]:
        block = self._open
        if not isinstance(block, AnswerText):
            block = AnswerText(type="text", text="")
            yield from self._begin(block)
        block.text += text
        yield self._delta("text_delta", text=text)

    def _think(self, text: str) -> Iterator[bytes]:
        block = self._open
        if not isinstance(block, AnswerThinking):
            block = AnswerThinking(type="thinking", thinking="", signature="")
            yield from self._begin(block)
        self._digest.update(text.encode())
        if not self._hides_thinking:
            block.thinking += text
            yield self._delta("thinking_delta", thinking=text)

    def _call(self, call: ToolCall) -> Iterator[bytes]:
        if self._wants_one_call and any(one.type == "tool_use" for one in self.message.content):
            return
        block = AnswerToolUse(type="tool_use", id=call.id, name=call.name, input={})
        yield from self._begin(block)
        block.input = json.loads(call.arguments)
        yield self._delta("input_json_delta", partial_json=call.arguments)
        yield self._stop()

    def _begin(self, block: AnswerBlock) -> Iterator[bytes]:
        yield from self._end()
        self._open = None if isinstance(block, AnswerToolUse) else block
        self.message.content.append(block)
        yield _event("content_block_start", index=self._index, content_block=block)

    def _end(self) -> Iterator[bytes]:
        """End the open block, if there is one."""
        block, self._open = self._open, None
        if block is None:
            return
        if isinstance(block, AnswerThinking):
            block.signature = base64.b64encode(self._digest.digest()).decode()
            yield self._delta("signature_delta", signature=block.signature)
        yield self._stop()

    def _finish(self, end: Finished) -> Iterator[bytes]:
        yield from self._end()
        self.message.stop_reason = self._ending(end)
        self.message.stop_sequence = end.stop
        self.message.usage = _usage(end)
        delta = {"stop_reason": self.message.stop_reason, "stop_sequence": end.stop}
        yield _event("message_delta", delta=delta, usage=self.message.usage)
        yield _event("message_stop")

    def _ending(self, end: Finished) -> MessageEnding:
        if end.reason == "tool_calls":
            return "tool_use"
        if end.reason == "stop":
            return "end_turn" if end.stop is None else "stop_sequence"
        is_full = end.usage.completion_tokens < self._limit
        return "model_context_window_exceeded" if is_full else "max_tokens"

    @property
    def _index(self) -> int:
        return len(self.message.content) - 1

    def _delta(self, kind: str, **members: str) -> bytes:
        delta = {"type": kind, **members}
        return _event("content_block_delta", index=self._index, delta=delta)

    def _stop(self) -> bytes:
        return _event("content_block_stop", index=self._index)


def _usage(end: Finished | None) -> MessageUsage:
    """All zero at the beginning: the prompt's tokens are known at the end."""
    usage = end.usage if end else None
    cached = usage.cached_tokens if usage else 0
    return MessageUsage(
        input_tokens=usage.prompt_tokens - cached if usage else 0,
        cache_creation_input_tokens=0,
        cache_read_input_tokens=cached,
        output_tokens=usage.completion_tokens if usage else 0,
        output_tokens_details=ThinkingTokens(thinking_tokens=usage.thinking_tokens if usage else 0),
    )


def _event(kind: str, **members: Any) -> bytes:
    return frame(json.dumps({"type": kind, **members}, default=_DUMP, ensure_ascii=False), kind)
