"""/v1/files: uploads for batches, and what batches have made of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from aipc.serve.batches.file_store import (
    MAX_FILE,
    Draft,
    FileDamaged,
    FileRecord,
    FileStore,
    FileTooLarge,
    StorageFull,
    new_record,
)
from aipc.serve.http.connection import json_response
from aipc.serve.http.form import FORM_BYTES, Form
from aipc.serve.openai.stored import Owner
from aipc.wire.errors import SERVER, HTTPError, public_text
from aipc.wire.openai.files_schemas import (
    LONGEST_S,
    DeletedFile,
    FileBody,
    FileList,
    FileQuery,
    FileUpload,
    read_fields,
)

MAX_UPLOAD = MAX_FILE + FORM_BYTES
"""Bytes of a form with a file in it."""
CONTENT = "application/octet-stream"


class Identified(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Identified)


class Files:
    def __init__(self, store: FileStore, owner: Owner) -> None:
        self._store = store
        self._owner = owner

    async def create(self, request: Request) -> Response:
        form = Form(request.headers["content-type"])
        expected = min(int(request.headers.get("content-length", MAX_FILE)), MAX_UPLOAD)
        try:
            with await run_in_threadpool(self._store.begin, expected) as draft:
                await form.receive(request, "file", partial(_write, draft))
                owner = self._owner(request)
                record = await run_in_threadpool(self._keep, owner, form, draft)
        except FileTooLarge as error:
            raise HTTPError(413, str(error), code="file_too_large", param="file") from error
        except StorageFull as error:
            raise full_storage(error) from error
        return json_response(_body(record))

    def _keep(self, owner: str, form: Form, draft: Draft) -> FileRecord:
        asked = read_fields(FileUpload, {**form.fields, "file": form.filename})
        lasts_s = asked.seconds or LONGEST_S
        record = new_record(owner, asked.file, asked.purpose, draft.nbytes, lasts_s)
        return self._store.keep(draft, record)

    async def list(self, request: Request) -> Response:
        query = read_fields(FileQuery, dict(request.query_params))
        records = await run_in_threadpool(self._store.list, self._owner(request))
        found = [one for one in records if query.purpose in (None, one.purpose)]
        if query.order == "asc":
            found.reverse()
        page, has_more = page_of(found, query.after, query.limit)
        first, last = (page[0].id, page[-1].id) if page else (None, None)
        data = [_body(one) for one in page]
        return json_response(
            FileList(object="list", data=data, first_id=first, last_id=last, has_more=has_more)
        )

    async def one(self, request: Request) -> Response:
        return json_response(_body(await self._find(request)))

    async def content(self, request: Request) -> Response:
        record = await self._find(request)
        headers = {"Cache-Control": "no-store"}
        return FileResponse(
            await whole_content(self._store, record),
            media_type=CONTENT,
            filename=record.filename,
            headers=headers,
        )

    async def delete(self, request: Request) -> Response:
        record = await self._find(request)
        try:
            await run_in_threadpool(self._store.delete, record.id)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            message = f"the server can't remove the file ({reason}); ask again, or its operator"
            raise HTTPError(500, message, kind=SERVER, code="storage_failed") from error
        return json_response(DeletedFile(id=record.id, object="file", deleted=True))

    async def _find(self, request: Request) -> FileRecord:
        file_id = request.path_params["file"]
        found = await run_in_threadpool(self._store.find, self._owner(request), file_id)
        if found is None:
            message = f"the file '{file_id:.80}' is not here: GET /v1/files lists those that are"
            raise HTTPError(404, message, code="not_found", param="file_id")
        return found


async def whole_content(store: FileStore, record: FileRecord) -> Path:
    """Where a file's content is.

    Raises:
        HTTPError: 500, it is damaged.
    """
    try:
        return await run_in_threadpool(store.content, record)
    except FileDamaged as error:
        raise HTTPError(500, str(error), kind=SERVER, code="file_damaged") from error


def full_storage(error: StorageFull) -> HTTPError:
    return HTTPError(507, public_text(error), kind=SERVER, code="storage_full")


async def _write(draft: Draft, piece: bytes) -> None:
    await run_in_threadpool(draft.write, piece)


def page_of(found: Sequence[T], after: str | None, limit: int) -> tuple[Sequence[T], bool]:
    """Those behind the one with the id ``after``, and whether there are more.

    Raises:
        HTTPError: 400, none has that id.
    """
    ids = [one.id for one in found]
    if after is not None and after not in ids:
        message = f"after: '{after:.80}' is none of those that are listed"
        raise HTTPError(400, message, code="invalid_value", param="after")
    start = 0 if after is None else ids.index(after) + 1
    return found[start : start + limit], len(found) > start + limit


def _body(record: FileRecord) -> FileBody:
    return FileBody(
        id=record.id,
        object="file",
        bytes=record.nbytes,
        created_at=record.created_at,
        expires_at=record.expires_at,
        filename=record.filename,
        purpose=record.purpose,  # type: ignore[arg-type]
        status="processed",
        status_details=None,
    )
