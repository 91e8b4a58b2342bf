"""/v1/responses: OpenAI's newer form of chat, without anything stored between requests."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from operator import methodcaller
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aipc.generate import Finished, Text, ToolCall
from aipc.generate.request import GenerationRequest
from aipc.serve.api.dispatch import Dispatcher, IndexedEvents, client_of
from aipc.serve.api.schemas import json_response, new_id, read, timings_of
from aipc.serve.http.connection import EventStream, frame, waiting_frame, while_connected
from aipc.serve.http.errors import HTTPError
from aipc.serve.openai.chat import named_tool
from aipc.serve.openai.chat_schemas import JsonFormat, TextFormat
from aipc.serve.openai.responses_schemas import (
    CachedTokens,
    ChosenTool,
    FlatSchemaFormat,
    IncompleteDetails,
    InputCall,
    InputCallOutput,
    InputMessage,
    OutputCall,
    OutputMessage,
    OutputText,
    ReasoningTokens,
    ResponseBody,
    ResponseRequest,
    ResponseUsage,
    TextOptions,
)
from aipc.serve.openai.schemas import usage_of
from aipc.serve.worker.messages import ServerEvent, Waiting

_DUMP = methodcaller("model_dump", exclude_unset=True, by_alias=True)


async def answer_response(dispatcher: Dispatcher, request: Request) -> Response:
    body = read(ResponseRequest, await request.body())
    requests = [_generation_request(body, client_of(request))]
    events = dispatcher.events(request, body.model, body.device, requests)
    writer = _ResponseWriter(body)
    if body.stream:
        return EventStream(_frames(writer, events), writer.error_frame)
    return json_response(await while_connected(request.receive, _response(writer, events)))


def _generation_request(body: ResponseRequest, client: str) -> GenerationRequest:
    choice = body.tool_choice
    name = named_tool(choice.name) if isinstance(choice, ChosenTool) else choice
    functions = [tool.model_dump(exclude_none=True, exclude={"type"}) for tool in body.tools or ()]
    return GenerationRequest(
        messages=_messages(body),
        sampling=body.sampling(body.max_output_tokens),
        schema=_schema(body.text),
        tools=[{"type": "function", "function": function} for function in functions],
        tool_choice=name if name and functions else "auto",
        repetition_detection=body.loops,
        client=client,
    )


def _messages(body: ResponseRequest) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if body.instructions:
        messages.append({"role": "system", "content": body.instructions})
    if isinstance(body.input, str):
        return [*messages, {"role": "user", "content": body.input}]
    for item in body.input:
        _add(messages, item)
    return messages


def _add(messages: list[dict[str, Any]], item: InputMessage | InputCall | InputCallOutput) -> None:
    """Append ``item`` as a chat message; successive calls are one message of the assistant."""
    if isinstance(item, InputMessage):
        parts = item.content
        text = parts if isinstance(parts, str) else "".join(part.text for part in parts)
        messages.append({"role": item.role, "content": text})
    elif isinstance(item, InputCallOutput):
        messages.append({"role": "tool", "tool_call_id": item.call_id, "content": item.output})
    else:
        if not messages or messages[-1]["role"] != "assistant":
            messages.append({"role": "assistant"})
        function = {"name": item.name, "arguments": item.arguments}
        call = {"id": item.call_id, "type": "function", "function": function}
        messages[-1].setdefault("tool_calls", []).append(call)


def _schema(options: TextOptions | None) -> Mapping[str, Any] | None:
    form = options.format if options else None
    if isinstance(form, FlatSchemaFormat):
        return form.schema_
    return {"type": "object"} if isinstance(form, JsonFormat) else None


async def _response(writer: _ResponseWriter, events: IndexedEvents) -> ResponseBody:
    async with aclosing(events):
        async for _, event in events:
            writer.frames(event)
    return writer.response


async def _frames(writer: _ResponseWriter, events: IndexedEvents) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for _, event in events:
            if isinstance(event, Waiting):
                yield waiting_frame(event)
                continue
            for each in writer.frames(event):
                yield each


class _ResponseWriter:
    """Builds ``response`` from a request's events; each step is one server-sent event."""

    def __init__(self, body: ResponseRequest) -> None:
        self._wants_one_call = body.parallel_tool_calls is False
        self._number = 0
        self._has_begun = False
        self._message: OutputMessage | None = None
        self.response = _begun(body)

    def frames(self, event: ServerEvent) -> list[bytes]:
        """The server-sent events of one event."""
        frames: list[bytes] = []
        if not self._has_begun:
            self._has_begun = True
            frames.append(self._event("response.created", response=self.response))
            frames.append(self._event("response.in_progress", response=self.response))
        if isinstance(event, Text) and event.text:
            frames += self._write(event.text)
        elif isinstance(event, ToolCall):
            frames += self._call(event)
        elif isinstance(event, Finished):
            frames += self._finish(event)
        return frames

    def error_frame(self, error: HTTPError) -> bytes:
        return self._event("error", code=error.code, message=error.message, param=error.param)

    def _write(self, text: str) -> list[bytes]:
        frames: list[bytes] = []
        message = self._message or self._open(frames)
        message.content[0].text += text
        indexes = self._indexes(message)
        delta = self._event("response.output_text.delta", delta=text, logprobs=[], **indexes)
        return [*frames, delta]

    def _open(self, frames: list[bytes]) -> OutputMessage:
        part = OutputText(type="output_text", text="", annotations=[], logprobs=[])
        message = OutputMessage(
            id=new_id("msg"), type="message", role="assistant", status="in_progress", content=[]
        )
        self.response.output.append(message)
        frames.append(self._item("added", message))
        message.content.append(part)
        self._message = message
        indexes = self._indexes(message)
        frames.append(self._event("response.content_part.added", part=part, **indexes))
        return message

    def _close(self, status: Any = "completed") -> list[bytes]:
        """Close the open message, if there is one."""
        message, self._message = self._message, None
        if message is None:
            return []
        message.status = status
        part, indexes = message.content[0], self._indexes(message)
        return [
            self._event("response.output_text.done", text=part.text, logprobs=[], **indexes),
            self._event("response.content_part.done", part=part, **indexes),
            self._item("done", message),
        ]

    def _call(self, call: ToolCall) -> list[bytes]:
        output = self.response.output
        if self._wants_one_call and any(item.type == "function_call" for item in output):
            return []
        frames = self._close()
        item = OutputCall(
            id=new_id("fc"),
            type="function_call",
            status="in_progress",
            call_id=call.id,
            name=call.name,
            arguments="",
        )
        output.append(item)
        frames.append(self._item("added", item))
        item.arguments, item.status = call.arguments, "completed"
        indexes = {"item_id": item.id, "output_index": len(output) - 1}
        kind = "response.function_call_arguments"
        frames.append(self._event(f"{kind}.delta", delta=item.arguments, **indexes))
        frames.append(
            self._event(f"{kind}.done", arguments=item.arguments, name=item.name, **indexes)
        )
        return [*frames, self._item("done", item)]

    def _finish(self, end: Finished) -> list[bytes]:
        is_cut = end.reason in {"length", "repetition"}
        status: Any = "incomplete" if is_cut else "completed"
        frames = self._close(status)
        self.response.status = status
        if is_cut:
            self.response.incomplete_details = IncompleteDetails(reason="max_output_tokens")
        if end.reason == "repetition":
            self.response.stop_reason = "repetition_detected"
        self.response.usage = _usage(end)
        self.response.timings = timings_of([end])
        return [*frames, self._event(f"response.{status}", response=self.response)]

    def _item(self, step: str, item: OutputMessage | OutputCall) -> bytes:
        index = len(self.response.output) - 1
        return self._event(f"response.output_item.{step}", item=item, output_index=index)

    def _indexes(self, message: OutputMessage) -> dict[str, Any]:
        index = len(self.response.output) - 1
        return {"item_id": message.id, "output_index": index, "content_index": 0}

    def _event(self, kind: str, **members: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **members}
        self._number += 1
        return frame(json.dumps(data, default=_DUMP, ensure_ascii=False), kind)


def _begun(body: ResponseRequest) -> ResponseBody:
    return ResponseBody(
        id=new_id("resp"),
        object="response",
        created_at=int(time.time()),
        status="in_progress",
        model=body.model,
        output=[],
        error=None,
        incomplete_details=None,
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        metadata=body.metadata or {},
        parallel_tool_calls=body.parallel_tool_calls is not False,
        previous_response_id=None,
        store=False,
        temperature=body.temperature,
        text=body.text or TextOptions(format=TextFormat(type="text")),
        tool_choice=body.tool_choice or "auto",
        tools=body.tools or [],
        top_p=body.top_p,
        truncation="disabled",
        usage=None,
    )


def _usage(end: Finished) -> ResponseUsage:
    usage = usage_of([end])
    return ResponseUsage(
        input_tokens=usage.prompt_tokens,
        input_tokens_details=CachedTokens(cached_tokens=0),
        output_tokens=usage.completion_tokens,
        output_tokens_details=ReasoningTokens(reasoning_tokens=0),
        total_tokens=usage.total_tokens,
    )
