"""/v1/batches: a file of requests, answered when nobody else asks."""

from __future__ import annotations

import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from aipc.batch.answers import TokenUse
from aipc.serve.batches.file_store import StorageFull
from aipc.serve.batches.keeper import BatchKeeper
from aipc.serve.batches.record import BatchRecord
from aipc.serve.http.connection import json_response
from aipc.serve.openai.files import full_storage, page_of, whole_content
from aipc.serve.openai.stored import Owner
from aipc.wire.errors import HTTPError
from aipc.wire.openai.batches_schemas import (
    BatchBody,
    BatchFault,
    BatchFaults,
    BatchList,
    BatchTokens,
    InputTokens,
    NewBatch,
    OutputTokens,
    RequestCounts,
)
from aipc.wire.openai.files_schemas import PageQuery, read_fields
from aipc.wire.schemas import new_id, read

_SECONDS = {"h": 3600, "d": 24 * 3600}


class Batches:
    def __init__(self, keeper: BatchKeeper, owner: Owner) -> None:
        self._keeper = keeper
        self._files = keeper.files
        self._owner = owner

    async def create(self, request: Request) -> Response:
        asked = read(NewBatch, await request.body())
        owner = self._owner(request)
        file = await run_in_threadpool(self._files.find, owner, asked.input_file_id)
        if file is None or file.purpose != "batch":
            message = "input_file_id: no file of that id was uploaded with the purpose 'batch'"
            raise HTTPError(400, message, code="invalid_value", param="input_file_id")
        try:
            content = await whole_content(self._files, file)
            record = await self._keeper.create(_new(asked, owner), content)
        except StorageFull as error:
            raise full_storage(error) from error
        return json_response(_body(record))

    async def list(self, request: Request) -> Response:
        query = read_fields(PageQuery, dict(request.query_params))
        found = await self._keeper.list(self._owner(request))
        page, has_more = page_of(found, query.after, query.limit)
        first, last = (page[0].id, page[-1].id) if page else (None, None)
        data = [_body(one) for one in page]
        return json_response(
            BatchList(object="list", data=data, first_id=first, last_id=last, has_more=has_more)
        )

    async def one(self, request: Request) -> Response:
        return json_response(_body(await self._find(request)))

    async def cancel(self, request: Request) -> Response:
        record = await self._find(request)
        if record.has_ended or (record.outcome and record.status != "cancelling"):
            message = f"the batch is {record.status}: there is nothing to cancel"
            raise HTTPError(409, message, code="already_ended")
        try:
            return json_response(_body(await self._keeper.cancel(record.id)))
        except StorageFull as error:
            raise full_storage(error) from error

    async def _find(self, request: Request) -> BatchRecord:
        batch_id = request.path_params["batch"]
        found = await self._keeper.find(self._owner(request), batch_id)
        if found is None:
            message = (
                f"the batch '{batch_id:.80}' is not here: GET /v1/batches lists those that are"
            )
            raise HTTPError(404, message, code="not_found", param="batch_id")
        return found


def _new(asked: NewBatch, owner: str) -> BatchRecord:
    now = time.time()
    window = asked.completion_window
    lasts = asked.output_expires_after
    return BatchRecord(
        id=new_id("batch", "_"),
        owner=owner,
        endpoint=asked.endpoint,
        input_file_id=asked.input_file_id,
        completion_window=window,
        created=now,
        expires=now + int(window[:-1]) * _SECONDS[window[-1]],
        output_lasts_s=lasts.seconds if lasts is not None else None,
        metadata=asked.metadata,
    )


def _body(record: BatchRecord) -> BatchBody:
    statuses = ("in_progress", "finalizing", "completed", "failed", "expired")
    times = {
        f"{status}_at": int(record.times[status]) if status in record.times else None
        for status in (*statuses, "cancelling", "cancelled")
    }
    faults = [
        BatchFault(code=e.code, line=e.line, message=e.message, param=e.param)
        for e in record.errors
    ]
    return BatchBody(
        id=record.id,
        object="batch",
        endpoint=record.endpoint,
        model=record.model,
        errors=BatchFaults(object="list", data=faults) if faults else None,
        input_file_id=record.input_file_id,
        completion_window=record.completion_window,
        status=record.status,  # type: ignore[arg-type]
        output_file_id=record.output_file_id if record.has_ended else None,
        error_file_id=record.error_file_id if record.has_ended else None,
        created_at=int(record.created),
        expires_at=int(record.expires),
        **times,
        request_counts=RequestCounts(
            total=record.total, completed=record.completed, failed=record.failed
        ),
        usage=_tokens(record.usage) if record.usage is not None else None,
        metadata=dict(record.metadata) if record.metadata is not None else None,
    )


def _tokens(use: TokenUse) -> BatchTokens:
    return BatchTokens(
        input_tokens=use.prompt,
        input_tokens_details=InputTokens(cached_tokens=use.cached),
        output_tokens=use.completion,
        output_tokens_details=OutputTokens(reasoning_tokens=use.thinking),
        total_tokens=use.prompt + use.completion,
    )
