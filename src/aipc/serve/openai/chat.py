"""/v1/chat/completions: a conversation in, the next message out, whole or in chunks."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aipc.generate import Finished, Text, Thinking, ToolCall
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import ServerEvent, Waiting
from aipc.serve.api.dispatch import Dispatcher, IndexedEvents, client_of
from aipc.serve.http.connection import EventStream, json_response, telling_ignored, while_connected
from aipc.wire.errors import HTTPError
from aipc.wire.openai.chat_schemas import (
    AnswerMessage,
    CalledFunction,
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatRequest,
    ChoiceLogprobs,
    ChunkChoice,
    Delta,
    ToolCallBody,
    ToolCallDelta,
)
from aipc.wire.openai.messages import conversation
from aipc.wire.openai.schemas import (
    FINGERPRINT,
    TokenLogprob,
    ending,
    token_logprobs,
    usage_members,
)
from aipc.wire.openai.tools import choose, definitions, naming_part
from aipc.wire.schemas import new_id, read
from aipc.wire.sse import DONE, frame, waiting_frame


async def answer_chat(dispatcher: Dispatcher, request: Request) -> Response:
    body = read(ChatRequest, await request.body())
    requests = _generation_requests(body, client_of(request))
    events = dispatcher.events(request, body.model, body.device, requests)
    asked = requests[0]
    events = naming_part(events, body.tools, asked.schema, body.schema_path, strict=asked.strict)
    if body.stream:
        return telling_ignored(EventStream(_frames(body, events)), body)
    completion = await while_connected(request.receive, _completion(body, events))
    return telling_ignored(json_response(completion), body)


def _generation_requests(body: ChatRequest, client: str) -> list[GenerationRequest]:
    if body.add_generation_prompt is False and not body.continue_final_message:
        message = "add_generation_prompt is false only with continue_final_message"
        raise HTTPError(400, message, code="invalid_value", param="add_generation_prompt")
    messages = conversation(body.messages)
    tools, choice = choose(body.tool_choice, definitions(body.tools))
    return [
        GenerationRequest(
            messages=messages,
            continue_final_message=bool(body.continue_final_message),
            sampling=body.sampling(body.limit, seed),
            stop=body.stops,
            schema=body.schema_given,
            tools=tools,
            tool_choice=choice,
            strict=body.is_strict,
            template_options=body.chat_template_kwargs or {},
            **body.thinking_fields(body.reasoning_effort),
            ignore_eos=bool(body.ignore_eos),
            logprobs=bool(body.logprobs),
            top_logprobs=_top_logprobs(body),
            repetition_detection=body.loops,
            client=client,
        )
        for seed in body.seeds()
    ]


@dataclass
class _Choice:
    """What one choice has generated so far."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[ToolCallBody] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def add(self, event: ServerEvent, *, one_call: bool) -> None:
        if isinstance(event, Text):
            self.texts.append(event.text)
            self.logprobs += token_logprobs(event)
            self.tokens += event.tokens
        elif isinstance(event, Thinking):
            self.thoughts += [event.thinking] if event.thinking else []
            self.tokens += event.tokens
        elif isinstance(event, ToolCall) and not (one_call and self.calls):
            self.calls.append(_call(event))


async def _completion(body: ChatRequest, events: IndexedEvents) -> ChatCompletion:
    choices = [_Choice() for _ in range(body.n or 1)]
    ends: dict[int, Finished] = {}
    async with aclosing(events):
        async for index, event in events:
            choices[index].add(event, one_call=body.parallel_tool_calls is False)
            if isinstance(event, Finished):
                ends[index] = event
    return ChatCompletion(
        id=new_id("chatcmpl"),
        object="chat.completion",
        created=int(time.time()),
        model=body.model,
        system_fingerprint=FINGERPRINT,
        choices=[_choice_body(body, at, choices[at], ends[at]) for at in sorted(ends)],
        **usage_members([*ends.values()]),
    )


def _choice_body(body: ChatRequest, index: int, choice: _Choice, end: Finished) -> ChatChoice:
    more: dict[str, Any] = {"tool_calls": choice.calls} if choice.calls else {}
    content = "".join(choice.texts) or (None if choice.calls else "")
    if choice.thoughts:
        more["reasoning_content"] = "".join(choice.thoughts)
    message = AnswerMessage(role="assistant", content=content, refusal=None, **more)
    logprobs = ChoiceLogprobs(content=choice.logprobs, refusal=None) if body.logprobs else None
    told = ending(end.reason, end.misfit)
    if body.return_token_ids:
        told["token_ids"] = choice.tokens
    return ChatChoice(index=index, message=message, logprobs=logprobs, **told)


async def _frames(body: ChatRequest, events: IndexedEvents) -> AsyncGenerator[bytes, None]:
    writer = _ChunkWriter(body)
    async with aclosing(events):
        async for index, event in events:
            for each in writer.frames(index, event):
                yield each
    if body.wants_usage:
        yield writer.usage()
    yield DONE


class _ChunkWriter:
    """Events as the chunks of one completion."""

    def __init__(self, body: ChatRequest) -> None:
        self._body = body
        self._calls = [0] * (body.n or 1)
        self._begun: set[int] = set()
        self._ends: list[Finished] = []
        self._same: dict[str, Any] = {
            "id": new_id("chatcmpl"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": body.model,
            "system_fingerprint": FINGERPRINT,
        }

    def frames(self, index: int, event: ServerEvent) -> Iterator[bytes]:
        if isinstance(event, Waiting):
            yield waiting_frame(event)
            return
        if index not in self._begun:
            self._begun.add(index)
            yield self._chunk(index, Delta(role="assistant", content=""))
        if isinstance(event, Text) and (event.text or self._body.return_token_ids):
            yield self._chunk(index, Delta(content=event.text), event)
        elif isinstance(event, Thinking) and (event.thinking or self._body.return_token_ids):
            yield self._chunk(index, Delta(reasoning_content=event.thinking), event)
        elif isinstance(event, ToolCall):
            yield from self._call(index, event)
        elif isinstance(event, Finished):
            self._ends.append(event)
            yield self._chunk(index, Delta(), end=event)

    def usage(self) -> bytes:
        return self._frame(choices=[], **usage_members(self._ends))

    def _call(self, index: int, call: ToolCall) -> Iterator[bytes]:
        count = self._calls[index]
        if count and self._body.parallel_tool_calls is False:
            return
        self._calls[index] += 1
        delta = Delta(tool_calls=[ToolCallDelta(index=count, **dict(_call(call)))])
        yield self._chunk(index, delta)

    def _chunk(
        self,
        index: int,
        delta: Delta,
        event: Text | Thinking | None = None,
        end: Finished | None = None,
    ) -> bytes:
        logprobs = None
        if isinstance(event, Text) and self._body.logprobs:
            logprobs = ChoiceLogprobs(content=token_logprobs(event), refusal=None)
        more = ending(end.reason, end.misfit) if end else ending(None)
        if event is not None and self._body.return_token_ids:
            more["token_ids"] = [*event.tokens]
        choice = ChunkChoice(index=index, delta=delta, logprobs=logprobs, **more)
        no_usage = {"usage": None} if self._body.wants_usage else {}
        return self._frame(choices=[choice], **no_usage)

    def _frame(self, **members: Any) -> bytes:
        return frame(ChatChunk(**self._same, **members).model_dump_json(exclude_unset=True))


def _call(call: ToolCall) -> ToolCallBody:
    function = CalledFunction(name=call.name, arguments=call.arguments)
    return ToolCallBody(id=call.id, type="function", function=function)


def _top_logprobs(body: ChatRequest) -> int:
    if body.top_logprobs and not body.logprobs:
        what = "top_logprobs needs logprobs to be true"
        raise HTTPError(400, what, code="invalid_value", param="top_logprobs")
    return body.top_logprobs or 0
