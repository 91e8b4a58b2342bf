"""/v1/completions: a text in, what follows it out, whole or in chunks."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from aipc.generate import Finished, Text
from aipc.generate.request import GenerationRequest
from aipc.serve.api.dispatch import Dispatcher, IndexedEvents, client_of
from aipc.serve.api.schemas import (
    ApiModel,
    TimingsBody,
    json_response,
    new_id,
    read,
    tokens_with_logprobs,
)
from aipc.serve.http.connection import DONE, EventStream, frame, waiting_frame, while_connected
from aipc.serve.openai.schemas import (
    FINGERPRINT,
    CompletionBase,
    StopReason,
    UsageBody,
    ending,
    usage_members,
)
from aipc.serve.worker.messages import Waiting

LIMIT = 16
"""Tokens of an answer without ``max_tokens``, as in OpenAI's API."""


class CompletionRequest(CompletionBase):
    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)] = Field(
        description="a text to continue, without a chat template"
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description=f"longest answer, in tokens; {LIMIT} without it"
    )
    logprobs: Annotated[int, Field(ge=0, le=0)] | None = Field(
        default=None, description="0 only: that of the chosen token"
    )
    echo: Literal[False] | None = Field(default=None, description="false only")
    best_of: Annotated[int, Field(ge=1, le=1)] | None = Field(default=None, description="1 only")
    suffix: None = Field(default=None, description="null only")

    @property
    def text(self) -> str:
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]


class CompletionLogprobs(ApiModel):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: None
    text_offset: list[int] = Field(description="characters into the answer")


class CompletionChoice(ApiModel):
    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length"] | None
    stop_reason: StopReason = None


class Completion(ApiModel):
    """A whole completion, or a chunk of one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: UsageBody | None = None
    timings: TimingsBody | None = None


async def answer_completion(dispatcher: Dispatcher, request: Request) -> Response:
    body = read(CompletionRequest, await request.body())
    requests = _generation_requests(body, client_of(request))
    events = dispatcher.events(request, body.model, body.device, requests)
    if body.stream:
        return EventStream(_frames(body, events))
    return json_response(await while_connected(request.receive, _completion(body, events)))


def _generation_requests(body: CompletionRequest, client: str) -> list[GenerationRequest]:
    return [
        GenerationRequest(
            prompt=body.text,
            raw=True,
            sampling=body.sampling(body.max_tokens or LIMIT, seed),
            stop=body.stops,
            logprobs=body.logprobs is not None,
            repetition_detection=body.loops,
            client=client,
        )
        for seed in body.seeds()
    ]


async def _completion(body: CompletionRequest, events: IndexedEvents) -> Completion:
    writer = _Writer(body)
    texts: list[list[Text]] = [[] for _ in body.seeds()]
    async with aclosing(events):
        async for index, event in events:
            if isinstance(event, Text):
                texts[index].append(event)
            elif isinstance(event, Finished):
                writer.ends[index] = event
    choices = [writer.choice(at, each, writer.ends[at].reason) for at, each in enumerate(texts)]
    return writer.completion(choices=choices, **writer.usage())


async def _frames(body: CompletionRequest, events: IndexedEvents) -> AsyncGenerator[bytes, None]:
    writer = _Writer(body)
    no_usage = {"usage": None} if body.wants_usage else {}
    async with aclosing(events):
        async for index, event in events:
            if isinstance(event, Waiting):
                yield waiting_frame(event)
            elif isinstance(event, Text) and event.text:
                yield writer.frame(choices=[writer.choice(index, [event])], **no_usage)
            elif isinstance(event, Finished):
                writer.ends[index] = event
                yield writer.frame(choices=[writer.choice(index, [], event.reason)], **no_usage)
    if body.wants_usage:
        yield writer.frame(choices=[], **writer.usage())
    yield DONE


class _Writer:
    """The bodies of one completion, with each token's offset in its choice's text."""

    def __init__(self, body: CompletionRequest) -> None:
        self.ends: dict[int, Finished] = {}
        self._wants_logprobs = body.logprobs is not None
        self._offsets = [0] * (body.n or 1)
        self._same: dict[str, Any] = {
            "id": new_id("cmpl"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": body.model,
            "system_fingerprint": FINGERPRINT,
        }

    def completion(self, **members: Any) -> Completion:
        return Completion(**self._same, **members)

    def frame(self, **members: Any) -> bytes:
        return frame(self.completion(**members).model_dump_json(exclude_unset=True))

    def usage(self) -> dict[str, Any]:
        return usage_members([*self.ends.values()])

    def choice(self, index: int, events: list[Text], reason: Any = None) -> CompletionChoice:
        logprobs = self._logprobs(index, events) if self._wants_logprobs else None
        text = "".join(event.text for event in events)
        return CompletionChoice(index=index, text=text, logprobs=logprobs, **ending(reason))

    def _logprobs(self, index: int, events: list[Text]) -> CompletionLogprobs:
        tokens: list[str] = []
        values: list[float] = []
        offsets: list[int] = []
        for event in events:
            written = b""
            for text, value, piece in tokens_with_logprobs(event):
                tokens.append(text)
                values.append(value)
                offsets.append(self._offsets[index] + len(written.decode(errors="ignore")))
                written += piece
            self._offsets[index] += len(event.text)
        return CompletionLogprobs(
            tokens=tokens, token_logprobs=values, top_logprobs=None, text_offset=offsets
        )
