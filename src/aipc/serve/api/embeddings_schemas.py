"""The bodies of /v1/embeddings, as OpenAI writes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from aipc.serve.api.schemas import Request, Wire

Text = Annotated[str, Field(min_length=1)]


class EmbeddingRequest(Request):
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


class EmbeddingBody(Wire):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Wire):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Wire):
    object: Literal["list"]
    data: list[EmbeddingBody]
    model: str
    usage: EmbeddingUsage
