"""/v1/embeddings: texts in, a vector of each out."""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response

from aipc.generate import Finished
from aipc.serve.api.asker import Asker, Numbered, client_of
from aipc.serve.api.embeddings_schemas import (
    EmbeddingBody,
    EmbeddingList,
    EmbeddingRequest,
    EmbeddingUsage,
)
from aipc.serve.api.json_body import json_response
from aipc.serve.api.schemas import read
from aipc.serve.http.connection import while_connected
from aipc.serve.requests import Embedded, GenerationRequest


class Embeddings:
    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def answer(self, request: Request) -> Response:
        asked = read(EmbeddingRequest, await request.body())
        ask = GenerationRequest(
            texts=asked.texts, dimensions=asked.dimensions, client=client_of(request)
        )
        answers = self._asker.answers(request, asked.model, asked.device, [ask])
        return json_response(await while_connected(request.receive, _whole(asked, answers)))


async def _whole(asked: EmbeddingRequest, answers: AsyncGenerator[Numbered, None]) -> EmbeddingList:
    vectors: list[str] = []
    tokens = 0
    async with aclosing(answers) as sayings:
        async for _, saying in sayings:
            if isinstance(saying, Embedded):
                vectors += saying.vectors
            elif isinstance(saying, Finished):
                tokens = saying.usage.prompt_tokens
    return EmbeddingList(
        object="list",
        data=[
            EmbeddingBody(object="embedding", index=at, embedding=_form(asked, vector))
            for at, vector in enumerate(vectors)
        ],
        model=asked.model,
        usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
    )


def _form(asked: EmbeddingRequest, vector: str) -> list[float] | str:
    if asked.encoding_format == "base64":
        return vector
    return [number for (number,) in struct.iter_unpack("<f", base64.b64decode(vector))]
