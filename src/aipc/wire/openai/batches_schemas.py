"""The bodies of /v1/batches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aipc.wire.openai.files_schemas import ExpiresAfter
from aipc.wire.schemas import ApiModel, RequestPart

BatchUrl = Literal[
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/rerank"
]
Status = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Note = Annotated[str, Field(max_length=512)]


class NewBatch(RequestPart):
    input_file_id: str = Field(min_length=1, max_length=100)
    endpoint: BatchUrl
    completion_window: str = Field(
        pattern="^([1-9][0-9]{0,2}h|[1-9][0-9]?d)$",
        description='OpenAI\'s "24h"; as an extension other hours ("72h") or days ("7d")',
    )
    metadata: dict[Name, Note] | None = Field(default=None, max_length=16)
    output_expires_after: ExpiresAfter | None = None


class BatchFault(ApiModel):
    code: str
    line: int | None
    message: str
    param: str | None


class BatchFaults(ApiModel):
    object: Literal["list"]
    data: list[BatchFault]


class RequestCounts(ApiModel):
    total: int
    completed: int
    failed: int


class InputTokens(ApiModel):
    cached_tokens: int


class OutputTokens(ApiModel):
    reasoning_tokens: int


class BatchTokens(ApiModel):
    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int
    output_tokens_details: OutputTokens
    total_tokens: int


class BatchBody(ApiModel):
    """Times are seconds since 1970."""

    id: str
    object: Literal["batch"]
    endpoint: str
    model: str | None
    errors: BatchFaults | None
    input_file_id: str
    completion_window: str
    status: Status
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: BatchTokens | None
    metadata: dict[str, str] | None


class BatchList(ApiModel):
    object: Literal["list"]
    data: list[BatchBody]
    first_id: str | None
    last_id: str | None
    has_more: bool
