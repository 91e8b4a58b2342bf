"""The paths of OpenAI's API."""

from __future__ import annotations

from functools import partial

from aipc.serve.api.dispatch import Dispatcher
from aipc.serve.api.endpoint import GENERATION_ERRORS, Endpoint
from aipc.serve.batches.keeper import BatchKeeper
from aipc.serve.openai.answers import answer
from aipc.serve.openai.batches import Batches
from aipc.serve.openai.files import CONTENT, MAX_UPLOAD, Files
from aipc.serve.openai.models import ModelBody, ModelHandlers, ModelList
from aipc.serve.openai.responses import Responses
from aipc.serve.openai.stored import Owner, ResponseStore, StoredResponses
from aipc.wire.openai import urls
from aipc.wire.openai.batches_schemas import BatchBody, BatchList, NewBatch
from aipc.wire.openai.chat_schemas import ChatChunk, ChatCompletion, ChatRequest
from aipc.wire.openai.completions import Completion, CompletionRequest
from aipc.wire.openai.embeddings import EmbeddingList, EmbeddingRequest
from aipc.wire.openai.files_schemas import (
    DeletedFile,
    FileBody,
    FileList,
    FileQuery,
    FileUpload,
    PageQuery,
)
from aipc.wire.openai.responses_schemas import (
    DeletedResponse,
    ItemList,
    ResponseBody,
    ResponseRequest,
)
from aipc.wire.rerank import RerankBody, RerankRequest


def endpoints(dispatcher: Dispatcher, models: ModelHandlers) -> tuple[Endpoint, ...]:
    """All but those of `batch_endpoints`."""
    store = ResponseStore()
    return (
        *_generation(dispatcher, Responses(dispatcher, store)),
        *_kept(StoredResponses(store)),
        *_models(models),
    )


def batch_endpoints(keeper: BatchKeeper, owner: Owner) -> tuple[Endpoint, ...]:
    """``owner`` tells whose files and batches a request may see."""
    return (*_files(Files(keeper.files, owner)), *_batches(Batches(keeper, owner)))


def _generation(dispatcher: Dispatcher, responses: Responses) -> tuple[Endpoint, ...]:
    answered = partial(answer, dispatcher)
    return (
        Endpoint(
            "POST",
            urls.CHAT,
            answered,
            "The next message of a conversation.",
            body=ChatRequest,
            returns=ChatCompletion,
            streams=True,
            chunk=ChatChunk,
            errors=GENERATION_ERRORS,
        ),
        Endpoint(
            "POST",
            urls.COMPLETIONS,
            answered,
            "What follows a text.",
            body=CompletionRequest,
            returns=Completion,
            streams=True,
            chunk=Completion,
            errors=GENERATION_ERRORS,
        ),
        Endpoint(
            "POST",
            urls.RESPONSES,
            responses.answer,
            "The next message of a conversation, in OpenAI's newer form; kept in memory.",
            body=ResponseRequest,
            returns=ResponseBody,
            streams=True,
            errors=GENERATION_ERRORS,
        ),
        Endpoint(
            "POST",
            urls.EMBEDDINGS,
            answered,
            "A vector of each text, from a model that can make them.",
            body=EmbeddingRequest,
            returns=EmbeddingList,
            errors=GENERATION_ERRORS,
        ),
        Endpoint(
            "POST",
            urls.RERANK,
            answered,
            "How well each document answers a query, from a model that scores them.",
            body=RerankRequest,
            returns=RerankBody,
            errors=GENERATION_ERRORS,
        ),
    )


def _kept(responses: StoredResponses) -> tuple[Endpoint, ...]:
    path = f"{urls.RESPONSES}/{{response}}"
    return (
        Endpoint(
            "GET",
            path,
            responses.one,
            "A response that is kept in memory.",
            returns=ResponseBody,
            errors=(404,),
        ),
        Endpoint(
            "DELETE", path, responses.delete, "Lets it go.", returns=DeletedResponse, errors=(404,)
        ),
        Endpoint(
            "GET",
            f"{path}/input_items",
            responses.items,
            "What it was made from.",
            returns=ItemList,
            errors=(404,),
        ),
    )


def _files(files: Files) -> tuple[Endpoint, ...]:
    path = "/v1/files/{file}"
    return (
        Endpoint(
            "POST",
            "/v1/files",
            files.create,
            "Keeps a file of requests for a batch.",
            body=FileUpload,
            form_bytes=MAX_UPLOAD,
            returns=FileBody,
            errors=(507,),
        ),
        Endpoint("GET", "/v1/files", files.list, "The files.", query=FileQuery, returns=FileList),
        Endpoint("GET", path, files.one, "One of them.", returns=FileBody, errors=(404,)),
        Endpoint(
            "GET", f"{path}/content", files.content, "What it holds.", media=CONTENT, errors=(404,)
        ),
        Endpoint(
            "DELETE", path, files.delete, "Lets it go.", returns=DeletedFile, errors=(404, 500)
        ),
    )


def _batches(batches: Batches) -> tuple[Endpoint, ...]:
    path = "/v1/batches"
    return (
        Endpoint(
            "POST",
            path,
            batches.create,
            "Answers a file of requests when nobody else asks.",
            body=NewBatch,
            returns=BatchBody,
            errors=(429, 507),
        ),
        Endpoint("GET", path, batches.list, "The batches.", query=PageQuery, returns=BatchList),
        Endpoint(
            "GET",
            f"{path}/{{batch}}",
            batches.one,
            "One of them.",
            returns=BatchBody,
            errors=(404,),
        ),
        Endpoint(
            "POST",
            f"{path}/{{batch}}/cancel",
            batches.cancel,
            "Ends it; what was answered is kept.",
            returns=BatchBody,
            errors=(404, 409, 507),
        ),
    )


def _models(models: ModelHandlers) -> tuple[Endpoint, ...]:
    return (
        Endpoint("GET", "/v1/models", models.list, "Models that may be asked.", returns=ModelList),
        Endpoint(
            "GET",
            "/v1/models/{model:path}",
            models.one,
            "One of them.",
            returns=ModelBody,
            errors=(404,),
        ),
    )
