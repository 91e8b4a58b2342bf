"""A conversation in, the next message out: the exchange of /v1/chat/completions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from aipc.generate import Finished, Text, Thinking, ToolCall
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import ServerEvent, Waiting
from aipc.wire.errors import HTTPError
from aipc.wire.exchange import Exchange, FrameWriter
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
from aipc.wire.schemas import new_id
from aipc.wire.sse import DONE, frame, waiting_frame


class ChatExchange(Exchange):
    """Raises HTTPError, 400, for what does not go together."""

    def __init__(self, body: ChatRequest, client: str = "") -> None:
        self.body: ChatRequest = body
        self.requests = _generation_requests(body, client)
        self._choices = [_Choice() for _ in self.requests]
        self._ends: dict[int, Finished] = {}

    def add(self, index: int, event: ServerEvent) -> None:
        self._choices[index].add(event, one_call=self.body.parallel_tool_calls is False)
        if isinstance(event, Finished):
            self._ends[index] = event

    def whole(self) -> ChatCompletion:
        ends = dict(sorted(self._ends.items()))
        return ChatCompletion(
            id=new_id("chatcmpl"),
            object="chat.completion",
            created=int(time.time()),
            model=self.body.model,
            system_fingerprint=FINGERPRINT,
            choices=[
                _choice_body(self.body, at, self._choices[at], end) for at, end in ends.items()
            ],
            **usage_members([*ends.values()]),
        )

    def frame_writer(self) -> FrameWriter:
        return _ChunkWriter(self.body)

    def naming(self) -> AbstractContextManager[None]:
        body, asked = self.body, self.requests[0]
        return naming_part(body.tools, asked.schema, body.schema_path, strict=asked.strict)


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


class _ChunkWriter(FrameWriter):
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

    def last_frames(self) -> Iterator[bytes]:
        if self._body.wants_usage:
            yield self._frame(choices=[], **usage_members(self._ends))
        yield DONE

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
