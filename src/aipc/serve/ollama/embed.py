"""/api/embed and the older /api/embeddings: texts in, a vector of each out."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from aipc.generate import Finished
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import Embedded, floats
from aipc.serve.api.dispatch import Dispatcher, client_of
from aipc.serve.http.connection import json_response, telling_ignored, while_connected
from aipc.serve.ollama.loading import load_or_unload
from aipc.serve.ollama.schemas import OllamaBody
from aipc.wire.exchange import IndexedEvents
from aipc.wire.openai.embeddings import ignore_ends
from aipc.wire.schemas import ApiModel, Whole, read

if TYPE_CHECKING:
    from aipc.pool.pool import Pool

Vectors = list[list[float]]


class OllamaEmbedRequest(OllamaBody):
    input: str | Annotated[list[str], Field(max_length=2048)] | None = Field(
        default=None, description="a text, or several; without one the model is loaded"
    )
    dimensions: Whole | None = Field(
        default=None, ge=0, description="the model's own number, one that it states, or 0"
    )

    truncate: bool = Field(
        default=True, description="leave out the end of texts that are too long; false refuses them"
    )

    @property
    def texts(self) -> tuple[str, ...]:
        texts = (self.input,) if isinstance(self.input, str) else tuple(self.input or ())
        return () if texts == ("",) else texts


class OllamaEmbedReply(ApiModel):
    """Times in nanoseconds."""

    model: str
    embeddings: Vectors
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None


class OllamaEmbeddingsRequest(OllamaBody):
    prompt: str | None = None


class OllamaEmbeddingsReply(ApiModel):
    embedding: list[float]


async def answer_embed(pool: Pool, dispatcher: Dispatcher, request: Request) -> Response:
    started = time.perf_counter()
    body = read(OllamaEmbedRequest, await request.body())
    if not body.texts:
        await load_or_unload(pool, body)
        empty = OllamaEmbedReply(model=body.model, embeddings=[])
        return telling_ignored(json_response(empty), body)
    asked = GenerationRequest(
        texts=body.texts,
        dimensions=body.dimensions or None,
        truncate=body.truncate,
        client=client_of(request),
    )
    vectors, end = await _embed(dispatcher, request, body, asked)
    total = time.perf_counter() - started
    reply = OllamaEmbedReply(
        model=body.model,
        embeddings=vectors,
        total_duration=int(total * 1e9),
        load_duration=max(int((total - end.timings.total_s) * 1e9), 0),
        prompt_eval_count=end.usage.prompt_tokens,
    )
    return telling_ignored(json_response(reply), body)


async def answer_embeddings(pool: Pool, dispatcher: Dispatcher, request: Request) -> Response:
    body = read(OllamaEmbeddingsRequest, await request.body())
    if not body.prompt:
        await load_or_unload(pool, body)
        return telling_ignored(json_response(OllamaEmbeddingsReply(embedding=[])), body)
    asked = GenerationRequest(texts=(body.prompt,), truncate=True, client=client_of(request))
    (vector,), _ = await _embed(dispatcher, request, body, asked)
    return telling_ignored(json_response(OllamaEmbeddingsReply(embedding=vector)), body)


async def _embed(
    dispatcher: Dispatcher, request: Request, body: OllamaBody, asked: GenerationRequest
) -> tuple[Vectors, Finished]:
    events = dispatcher.events(request, body.model, body.device, [asked], body.keep_s)
    vectors, cut, end = await while_connected(request.receive, _collected(events))
    ignore_ends(body, "input" if isinstance(body, OllamaEmbedRequest) else "prompt", cut)
    return vectors, end


async def _collected(events: IndexedEvents) -> tuple[Vectors, list[int], Finished]:
    vectors: Vectors = []
    cut: list[int] = []
    async with aclosing(events):
        async for _, event in events:
            if isinstance(event, Embedded):
                vectors += map(floats, event.vectors)
                cut += event.cut
            elif isinstance(event, Finished):
                end = event
    return vectors, cut, end
