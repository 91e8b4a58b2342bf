"""A query and documents in, how well each answers it out: the exchange of /v1/rerank.

The body is Jina's and Cohere's, as vLLM serves it too.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aipc.generate import Finished
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import Scored, ServerEvent
from aipc.runtimes.encoders.encoder import by_score
from aipc.wire.exchange import Exchange, FrameWriter
from aipc.wire.openai.embeddings import EmbeddingUsage, Text, ignore_ends
from aipc.wire.schemas import ApiModel, RequestBody, RequestPart, Whole, new_id


class DocumentPart(RequestPart):
    text: Text


class RerankRequest(RequestBody):
    query: Text | DocumentPart
    documents: Annotated[list[Text | DocumentPart], Field(min_length=1, max_length=2048)] = Field(
        description="texts, or objects with a text"
    )
    top_n: Whole | None = Field(default=None, ge=1, description="results; all without it")
    return_documents: bool | None = Field(
        default=None, description="false leaves them out of the answer"
    )
    truncate: bool | Literal["NONE", "END"] | None = Field(
        default=None,
        description="extension: false or NONE refuses documents that are too long beside the query;"
        " without it their end is left out",
    )

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(map(_text, self.documents))


class RerankDocument(ApiModel):
    text: str


class RerankResult(ApiModel):
    index: int
    relevance_score: float
    document: RerankDocument | None = None


class RerankBody(ApiModel):
    id: str
    model: str
    results: list[RerankResult]
    usage: EmbeddingUsage


class RerankExchange(Exchange):
    def __init__(self, body: RerankRequest, client: str = "") -> None:
        self.body: RerankRequest = body
        self.requests = [
            GenerationRequest(
                texts=body.texts,
                query=_text(body.query),
                truncate=body.truncate not in {False, "NONE"},
                client=client,
            )
        ]
        self._scores: list[float] = []
        self._tokens = 0

    def add(self, index: int, event: ServerEvent) -> None:  # noqa: ARG002 - there is one
        if isinstance(event, Scored):
            self._scores += event.scores
            ignore_ends(self.body, "documents", event.cut)
        elif isinstance(event, Finished):
            self._tokens = event.usage.prompt_tokens

    def whole(self) -> RerankBody:
        return RerankBody(
            id=new_id("rerank"),
            model=self.body.model,
            results=[self._result(index) for index in by_score(self._scores, self.body.top_n)],
            usage=EmbeddingUsage(prompt_tokens=self._tokens, total_tokens=self._tokens),
        )

    def frame_writer(self) -> FrameWriter:
        raise NotImplementedError("scores are not streamed")

    def _result(self, index: int) -> RerankResult:
        shown = self.body.return_documents is not False
        document = RerankDocument(text=self.body.texts[index]) if shown else None
        return RerankResult(index=index, relevance_score=self._scores[index], document=document)


def _text(part: str | DocumentPart) -> str:
    return part if isinstance(part, str) else part.text
