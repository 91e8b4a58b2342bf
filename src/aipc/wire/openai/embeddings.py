"""Texts in, a vector of each out: the exchange of /v1/embeddings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from aipc.generate import Finished
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import Embedded, ServerEvent, floats
from aipc.wire.exchange import Exchange, FrameWriter
from aipc.wire.schemas import ApiModel, RequestBody

Text = Annotated[str, Field(min_length=1)]


class EmbeddingRequest(RequestBody):
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=2048)] = Field(
        description="a text, or several; token ids are not taken"
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        default=None, description="base64 is of little-endian float32"
    )
    dimensions: int | None = Field(
        default=None, ge=1, description="the model's own number, or one that it states"
    )
    input_type: str | None = Field(
        default=None,
        max_length=100,
        description="extension: query, document or another prompt that the model states",
    )
    truncate: bool | Literal["NONE", "END"] | None = Field(
        default=None,
        description="extension: leave out the end of texts that are too long, which are refused"
        " otherwise",
    )

    @field_validator("input", mode="before")
    @classmethod
    def _refuse_tokens(cls, value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], (int, list)):
            raise PydanticCustomError("token_ids", "token ids are not taken; give texts")
        return value

    @property
    def prompt_name(self) -> str | None:
        """What Cohere calls search_query, others call query."""
        return None if self.input_type is None else self.input_type.removeprefix("search_")

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.input,) if isinstance(self.input, str) else tuple(self.input)


def ignore_ends(body: RequestBody, member: str, cut: Iterable[int]) -> None:
    """Name the texts whose end was left out, of a list by their places."""
    is_list = isinstance(getattr(body, member), list)
    for index in cut:
        body.ignore(f"end of {member}[{index}]" if is_list else f"end of {member}")


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


class EmbeddingExchange(Exchange):
    def __init__(self, body: EmbeddingRequest, client: str = "") -> None:
        self.body: EmbeddingRequest = body
        self.requests = [
            GenerationRequest(
                texts=body.texts,
                dimensions=body.dimensions,
                prompt_name=body.prompt_name,
                truncate=body.truncate in {True, "END"},
                client=client,
            )
        ]
        self._vectors: list[str] = []
        self._tokens = 0

    def add(self, index: int, event: ServerEvent) -> None:  # noqa: ARG002 - there is one
        if isinstance(event, Embedded):
            self._vectors += event.vectors
            ignore_ends(self.body, "input", event.cut)
        elif isinstance(event, Finished):
            self._tokens = event.usage.prompt_tokens

    def whole(self) -> EmbeddingList:
        as_base64 = self.body.encoding_format == "base64"
        embeddings: list[Any] = self._vectors if as_base64 else [*map(floats, self._vectors)]
        return EmbeddingList(
            object="list",
            data=[
                EmbeddingBody(object="embedding", index=at, embedding=each)
                for at, each in enumerate(embeddings)
            ],
            model=self.body.model,
            usage=EmbeddingUsage(prompt_tokens=self._tokens, total_tokens=self._tokens),
        )

    def frame_writer(self) -> FrameWriter:
        raise NotImplementedError("vectors are not streamed")
