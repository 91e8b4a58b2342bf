"""The bodies of /v1/files."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aipc.wire.refusals import refusal
from aipc.wire.schemas import ApiModel, RequestPart

SHORTEST_S, LONGEST_S = 3600, 30 * 24 * 3600
"""Seconds that a file may be told to stay."""
MAX_FILES = 10_000
"""That are listed at a time."""


Fields = TypeVar("Fields", bound="TextFields")


class ExpiresAfter(RequestPart):
    anchor: Literal["created_at"]
    seconds: int = Field(ge=SHORTEST_S, le=LONGEST_S)


class TextFields(BaseModel):
    """What comes as text, in a query or a form: a number is one of digits."""

    model_config = ConfigDict(extra="ignore")


class FileUpload(TextFields):
    """A form, ``multipart/form-data``, with the file as a part of it."""

    file: str = Field(json_schema_extra={"format": "binary"})
    purpose: Literal["batch"]
    anchor: Literal["created_at"] | None = Field(default=None, alias="expires_after[anchor]")
    seconds: int | None = Field(
        default=None, alias="expires_after[seconds]", ge=SHORTEST_S, le=LONGEST_S
    )


class PageQuery(TextFields):
    after: str | None = Field(default=None, max_length=100, description="the id before the first")
    limit: int = Field(default=20, ge=1, le=100)


class FileQuery(PageQuery):
    purpose: str | None = Field(default=None, max_length=100)
    limit: int = Field(default=MAX_FILES, ge=1, le=MAX_FILES)
    order: Literal["asc", "desc"] = Field(default="desc", description="by the time of creation")


class FileBody(ApiModel):
    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"]
    status_details: None


class FileList(ApiModel):
    object: Literal["list"]
    data: list[FileBody]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedFile(ApiModel):
    id: str
    object: Literal["file"]
    deleted: Literal[True]


def read_fields(kind: type[Fields], fields: dict[str, Any]) -> Fields:
    """Read what came as text.

    Raises:
        HTTPError: 400, with the field that is wrong.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise refusal(error, fields) from error
