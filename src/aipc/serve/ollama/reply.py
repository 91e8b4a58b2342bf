"""An answer's events as Ollama's replies: a line for each piece, or all in one."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from aipc.generate import Alternative, Finished, Text, Thinking, ToolCall
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import ServerEvent
from aipc.serve.api.dispatch import Dispatcher
from aipc.serve.api.endpoint import LINES
from aipc.serve.http.connection import EventStream, json_response, telling_ignored, while_connected
from aipc.serve.ollama.schemas import GeneratingBody, now, ollama_error
from aipc.wire.errors import HTTPError
from aipc.wire.exchange import IndexedEvents
from aipc.wire.schemas import ApiModel, tokens_with_logprobs

_NS = 1_000_000_000


class OllamaAlternative(ApiModel):
    token: str
    logprob: float
    bytes: list[int]


class OllamaLogprob(OllamaAlternative):
    top_logprobs: list[OllamaAlternative] | None = Field(
        default=None, description="the likeliest, where they were asked for"
    )


class OllamaReply(ApiModel):
    """A piece of an answer, or its end, which alone has figures; all times in nanoseconds."""

    model: str
    created_at: str
    done: bool
    done_reason: Literal["stop", "length", "schema_not_met", "load", "unload"] | None = None
    logprobs: list[OllamaLogprob] | None = None
    total_duration: int | None = None
    load_duration: int | None = Field(default=None, description="until the model began with it")
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = Field(default=None, description="to the first token")
    eval_count: int | None = None
    eval_duration: int | None = Field(default=None, description="from the first token to the last")


@dataclass
class Piece:
    """What some events wrote."""

    text: str = ""
    thinking: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    logprobs: list[OllamaLogprob] = field(default_factory=list)

    def add(self, event: ServerEvent) -> None:
        if isinstance(event, Text):
            self.text += event.text
            self.logprobs += _logprobs(event)
        elif isinstance(event, Thinking):
            self.thinking += event.thinking
        elif isinstance(event, ToolCall):
            self.calls.append(event)

    @property
    def is_empty(self) -> bool:
        return not (self.text or self.thinking or self.calls or self.logprobs)


Content = Callable[[Piece], dict[str, Any]]
"""The members of a reply that hold what was written."""


class Answer:
    """One answer to one request, from its arrival on."""

    def __init__(self, body: GeneratingBody, kind: type[OllamaReply], content: Content) -> None:
        self._body = body
        self._kind = kind
        self._content = content
        self._started = time.perf_counter()

    async def respond(
        self, dispatcher: Dispatcher, request: Request, asked: GenerationRequest
    ) -> Response:
        body = self._body
        whole = body.stream is False
        events = dispatcher.events(
            request, body.model, body.device, [asked], body.keep_s, whole=whole
        )
        if whole:
            reply = await while_connected(request.receive, self._whole(events))
            return telling_ignored(json_response(reply), body)
        return telling_ignored(
            EventStream(self._lines(events), error_line, LINES, heartbeat=None), body
        )

    def loaded(self, reason: Literal["load", "unload"]) -> Response:
        """What a request without a prompt gets."""
        reply = self._reply(Piece(), done=True, done_reason=reason)
        return telling_ignored(json_response(reply), self._body)

    async def _whole(self, events: IndexedEvents) -> OllamaReply:
        piece = Piece()
        async with aclosing(events):
            async for _, event in events:
                piece.add(event)
                if isinstance(event, Finished):
                    end = event
        return self._reply(piece, done=True, **self._figures(end))

    async def _lines(self, events: IndexedEvents) -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            async for _, event in events:
                piece = Piece()
                piece.add(event)
                if not piece.is_empty:
                    yield line(self._reply(piece, done=False))
                if isinstance(event, Finished):
                    yield line(self._reply(piece, done=True, **self._figures(event)))

    def _reply(self, piece: Piece, **members: Any) -> OllamaReply:
        members |= self._content(piece)
        if piece.logprobs:
            members["logprobs"] = piece.logprobs
        return self._kind(model=self._body.model, created_at=now(), **members)

    def _figures(self, end: Finished) -> dict[str, Any]:
        total, timings = time.perf_counter() - self._started, end.timings
        first = timings.total_s if timings.first_token_s is None else timings.first_token_s
        return {
            "done_reason": _done_reason(end),
            "total_duration": _ns(total),
            "load_duration": _ns(total - timings.total_s),
            "prompt_eval_count": end.usage.prompt_tokens,
            "prompt_eval_duration": _ns(first),
            "eval_count": end.usage.completion_tokens,
            "eval_duration": _ns(timings.total_s - first),
        }


def line(body: ApiModel) -> bytes:
    return f"{body.model_dump_json(exclude_unset=True)}\n".encode()


def error_line(error: HTTPError) -> bytes:
    return f"{json.dumps(ollama_error(error))}\n".encode()


def _logprobs(event: Text) -> Iterable[OllamaLogprob]:
    for text, value, piece, alternatives in tokens_with_logprobs(event):
        more = {"top_logprobs": [*map(_alternative, alternatives)]} if alternatives else {}
        yield OllamaLogprob(token=text, logprob=value, bytes=list(piece), **more)


def _alternative(one: Alternative) -> OllamaAlternative:
    return OllamaAlternative(token=one.text, logprob=one.logprob, bytes=list(one.piece))


def _done_reason(end: Finished) -> str:
    if end.misfit:
        return "schema_not_met"
    return "length" if end.reason in {"length", "repetition"} else "stop"


def _ns(seconds: float) -> int:
    return max(int(seconds * _NS), 0)
