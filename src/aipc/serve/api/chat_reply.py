"""A conversation's next message as /v1/chat/completions gives it: whole, or in chunks."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from aipc.generate import Finished, Text, ToolCall
from aipc.serve.api.asker import Numbered
from aipc.serve.api.chat_schemas import (
    AnswerMessage,
    CalledFunction,
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatRequest,
    ChoiceLogprobs,
    ChunkChoice,
    Delta,
    TokenLogprob,
    ToolCallBody,
    ToolCallDelta,
)
from aipc.serve.api.identity import FINGERPRINT, new_id
from aipc.serve.api.token_texts import told_tokens
from aipc.serve.api.usage import timings_of, usage_of
from aipc.serve.http.connection import DONE, frame, waiting_frame
from aipc.serve.requests import Saying, Waiting


@dataclass
class _Choice:
    """What one answer has said so far."""

    texts: list[str] = field(default_factory=list)
    calls: list[ToolCallBody] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def note(self, saying: Saying) -> None:
        if isinstance(saying, Text):
            self.texts.append(saying.text)
            self.logprobs += logprobs_of(saying)
        elif isinstance(saying, ToolCall):
            self.calls.append(_call(saying))


async def whole(asked: ChatRequest, answers: AsyncGenerator[Numbered, None]) -> ChatCompletion:
    choices = [_Choice() for _ in range(asked.n or 1)]
    ends: dict[int, Finished] = {}
    async with aclosing(_allowed(asked, answers)) as sayings:
        async for number, saying in sayings:
            choices[number].note(saying)
            if isinstance(saying, Finished):
                ends[number] = saying
    timings = timings_of([*ends.values()])
    return ChatCompletion(
        id=new_id("chatcmpl"),
        object="chat.completion",
        created=int(time.time()),
        model=asked.model,
        system_fingerprint=FINGERPRINT,
        choices=[_choice_body(asked, at, choices[at], ends[at].reason) for at in sorted(ends)],
        usage=usage_of([*ends.values()]),
        **({"timings": timings} if timings else {}),
    )


def _choice_body(asked: ChatRequest, index: int, choice: _Choice, reason: Any) -> ChatChoice:
    calls = {"tool_calls": choice.calls} if choice.calls else {}
    content = "".join(choice.texts) or (None if choice.calls else "")
    message = AnswerMessage(role="assistant", content=content, refusal=None, **calls)
    logprobs = ChoiceLogprobs(content=choice.logprobs, refusal=None) if asked.logprobs else None
    return ChatChoice(index=index, message=message, logprobs=logprobs, finish_reason=reason)


async def frames(
    asked: ChatRequest, answers: AsyncGenerator[Numbered, None]
) -> AsyncGenerator[bytes, None]:
    writer = _ChunkWriter(asked)
    async with aclosing(_allowed(asked, answers)) as sayings:
        async for number, saying in sayings:
            for each in writer.frames(number, saying):
                yield each
    if asked.wants_usage:
        yield writer.usage()
    yield DONE


class _ChunkWriter:
    """What is said, as the chunks of one completion."""

    def __init__(self, asked: ChatRequest) -> None:
        self._asked = asked
        self._calls = [0] * (asked.n or 1)
        self._begun: set[int] = set()
        self._ends: list[Finished] = []
        self._same: dict[str, Any] = {
            "id": new_id("chatcmpl"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": asked.model,
            "system_fingerprint": FINGERPRINT,
        }

    def frames(self, number: int, saying: Saying) -> Iterator[bytes]:
        if isinstance(saying, Waiting):
            yield waiting_frame(saying)
            return
        if number not in self._begun:
            self._begun.add(number)
            yield self._chunk(number, Delta(role="assistant", content=""))
        if isinstance(saying, Text) and saying.text:
            yield self._chunk(number, Delta(content=saying.text), saying)
        elif isinstance(saying, ToolCall):
            yield self._chunk(number, self._call(number, saying))
        elif isinstance(saying, Finished):
            self._ends.append(saying)
            yield self._chunk(number, Delta(), reason=saying.reason)

    def usage(self) -> bytes:
        timings = timings_of(self._ends)
        more = {"timings": timings} if timings else {}
        return self._frame(choices=[], usage=usage_of(self._ends), **more)

    def _call(self, number: int, call: ToolCall) -> Delta:
        index = self._calls[number]
        self._calls[number] += 1
        return Delta(tool_calls=[ToolCallDelta(index=index, **dict(_call(call)))])

    def _chunk(
        self, number: int, delta: Delta, said: Text | None = None, reason: Any = None
    ) -> bytes:
        logprobs = None
        if said is not None and self._asked.logprobs:
            logprobs = ChoiceLogprobs(content=logprobs_of(said), refusal=None)
        choice = ChunkChoice(index=number, delta=delta, logprobs=logprobs, finish_reason=reason)
        nothing = {"usage": None} if self._asked.wants_usage else {}
        return self._frame(choices=[choice], **nothing)

    def _frame(self, **own: Any) -> bytes:
        return frame(ChatChunk(**self._same, **own).model_dump_json(exclude_unset=True))


async def _allowed(
    asked: ChatRequest, answers: AsyncGenerator[Numbered, None]
) -> AsyncGenerator[Numbered, None]:
    """All that is said, of several tool calls the first alone where more are not wanted."""
    called: set[int] = set()
    async with aclosing(answers) as sayings:
        async for number, saying in sayings:
            if isinstance(saying, ToolCall) and asked.parallel_tool_calls is False:
                if number in called:
                    continue
                called.add(number)
            yield number, saying


def _call(call: ToolCall) -> ToolCallBody:
    function = CalledFunction(name=call.name, arguments=call.arguments)
    return ToolCallBody(id=call.id, type="function", function=function)


def logprobs_of(said: Text) -> list[TokenLogprob]:
    """One for each token of the text."""
    return [
        TokenLogprob(token=text, logprob=value, bytes=list(piece), top_logprobs=[])
        for text, value, piece in told_tokens(said)
    ]
