"""/v1/embeddings: texts in, a vector of each out."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response

from aipc.generate import Finished
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import Embedded, floats
from aipc.serve.api.dispatch import Dispatcher, IndexedEvents, client_of
from aipc.serve.http.connection import json_response, telling_ignored, while_connected
from aipc.wire.schemas import ApiModel, RequestBody, read

Text = Annotated[str, Field(min_length=1)]


class EmbeddingRequest(RequestBody):
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=2048)] = Field(
        description="a text, or several; token ids are not taken"
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        default=None, description="base64 is of little-endian float32"
    )
    dimensions: int | None = Field(default=None, ge=1, description="the model's own number only")

    @field_validator("input", mode="before")
    @classmethod
    def _refuse_tokens(cls, value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], (int, list)):
            raise PydanticCustomError("token_ids", "token ids are not taken; give texts")
        return value

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.input,) if isinstance(self.input, str) else tuple(self.input)


class EmbeddingBody(ApiModel):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(ApiModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(ApiModel):
    object: Literal["list"]
    data: list[EmbeddingBody]
    model: str
    usage: EmbeddingUsage


async def answer_embeddings(dispatcher: Dispatcher, request: Request) -> Response:
    body = read(EmbeddingRequest, await request.body())
    client = client_of(request)
    texts = GenerationRequest(texts=body.texts, dimensions=body.dimensions, client=client)
    events = dispatcher.events(request, body.model, body.device, [texts])
    embeddings = await while_connected(request.receive, _embeddings(body, events))
    return telling_ignored(json_response(embeddings), body)


async def _embeddings(body: EmbeddingRequest, events: IndexedEvents) -> EmbeddingList:
    vectors: list[str] = []
    tokens = 0
    async with aclosing(events):
        async for _, event in events:
            if isinstance(event, Embedded):
                vectors += event.vectors
            elif isinstance(event, Finished):
                tokens = event.usage.prompt_tokens
    as_base64 = body.encoding_format == "base64"
    embeddings: list[Any] = vectors if as_base64 else [*map(floats, vectors)]
    return EmbeddingList(
        object="list",
        data=[
            EmbeddingBody(object="embedding", index=at, embedding=each)
            for at, each in enumerate(embeddings)
        ],
        model=body.model,
        usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
    )
