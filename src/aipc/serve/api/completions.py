"""/v1/completions: a text in, what follows it out, whole or in chunks."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aipc.generate import Finished, Text
from aipc.serve.api.asker import Asker, Numbered, client_of
from aipc.serve.api.completions_schemas import (
    LIMIT,
    Completion,
    CompletionChoice,
    CompletionLogprobs,
    CompletionRequest,
)
from aipc.serve.api.identity import FINGERPRINT, new_id
from aipc.serve.api.json_body import json_response
from aipc.serve.api.schemas import read
from aipc.serve.api.token_texts import told_tokens
from aipc.serve.api.usage import timings_of, usage_of
from aipc.serve.http.connection import DONE, EventStream, frame, waiting_frame, while_connected
from aipc.serve.requests import GenerationRequest, Waiting


class Completions:
    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def answer(self, request: Request) -> Response:
        asked = read(CompletionRequest, await request.body())
        asks = _asks(asked, client_of(request))
        answers = self._asker.answers(request, asked.model, asked.device, asks)
        if asked.stream:
            return EventStream(_frames(asked, answers))
        return json_response(await while_connected(request.receive, _whole(asked, answers)))


def _asks(asked: CompletionRequest, client: str) -> list[GenerationRequest]:
    return [
        GenerationRequest(
            prompt=asked.text,
            raw=True,
            sampling=asked.sampling(asked.max_tokens or LIMIT, seed),
            stop=asked.stops,
            logprobs=asked.logprobs is not None,
            client=client,
        )
        for seed in asked.seeds()
    ]


async def _whole(asked: CompletionRequest, answers: AsyncGenerator[Numbered, None]) -> Completion:
    writer = _Writer(asked)
    said: list[list[Text]] = [[] for _ in asked.seeds()]
    async with aclosing(answers) as sayings:
        async for number, saying in sayings:
            if isinstance(saying, Text):
                said[number].append(saying)
            elif isinstance(saying, Finished):
                writer.ends[number] = saying
    choices = [writer.choice(at, texts, writer.ends[at].reason) for at, texts in enumerate(said)]
    return writer.body(choices=choices, **writer.usage())


async def _frames(
    asked: CompletionRequest, answers: AsyncGenerator[Numbered, None]
) -> AsyncGenerator[bytes, None]:
    writer = _Writer(asked)
    nothing = {"usage": None} if asked.wants_usage else {}
    async with aclosing(answers) as sayings:
        async for number, saying in sayings:
            if isinstance(saying, Waiting):
                yield waiting_frame(saying)
            elif isinstance(saying, Text) and saying.text:
                yield _frame(writer.body(choices=[writer.choice(number, [saying])], **nothing))
            elif isinstance(saying, Finished):
                writer.ends[number] = saying
                last = writer.choice(number, [], saying.reason)
                yield _frame(writer.body(choices=[last], **nothing))
    if asked.wants_usage:
        yield _frame(writer.body(choices=[], **writer.usage()))
    yield DONE


def _frame(body: Completion) -> bytes:
    return frame(body.model_dump_json(exclude_unset=True))


class _Writer:
    """The bodies of one completion, whose logprobs say where in the answer their tokens are."""

    def __init__(self, asked: CompletionRequest) -> None:
        self.ends: dict[int, Finished] = {}
        self._wants_logprobs = asked.logprobs is not None
        self._offsets = [0] * (asked.n or 1)
        self._same: dict[str, Any] = {
            "id": new_id("cmpl"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": asked.model,
            "system_fingerprint": FINGERPRINT,
        }

    def body(self, **own: Any) -> Completion:
        return Completion(**self._same, **own)

    def usage(self) -> dict[str, Any]:
        ends = list(self.ends.values())
        timings = timings_of(ends)
        return {"usage": usage_of(ends), **({"timings": timings} if timings else {})}

    def choice(self, index: int, said: list[Text], reason: Any = None) -> CompletionChoice:
        logprobs = self._logprobs(index, said) if self._wants_logprobs else None
        text = "".join(each.text for each in said)
        return CompletionChoice(index=index, text=text, logprobs=logprobs, finish_reason=reason)

    def _logprobs(self, index: int, said: list[Text]) -> CompletionLogprobs:
        tokens: list[str] = []
        values: list[float] = []
        offsets: list[int] = []
        for each in said:
            written = b""
            for text, value, piece in told_tokens(each):
                tokens.append(text)
                values.append(value)
                offsets.append(self._offsets[index] + len(written.decode(errors="ignore")))
                written += piece
            self._offsets[index] += len(each.text)
        return CompletionLogprobs(
            tokens=tokens, token_logprobs=values, top_logprobs=None, text_offset=offsets
        )
