"""The paths of OpenAI's API."""

from __future__ import annotations

from functools import partial

from aipc.serve.api.dispatch import Dispatcher
from aipc.serve.api.endpoint import GENERATION_ERRORS, Endpoint
from aipc.serve.openai.answers import answer
from aipc.serve.openai.models import ModelBody, ModelHandlers, ModelList
from aipc.serve.openai.responses import Responses
from aipc.serve.openai.stored import ResponseStore, StoredResponses
from aipc.wire.openai import urls
from aipc.wire.openai.chat_schemas import ChatChunk, ChatCompletion, ChatRequest
from aipc.wire.openai.completions import Completion, CompletionRequest
from aipc.wire.openai.embeddings import EmbeddingList, EmbeddingRequest
from aipc.wire.openai.responses_schemas import (
    DeletedResponse,
    ItemList,
    ResponseBody,
    ResponseRequest,
)


def endpoints(dispatcher: Dispatcher, models: ModelHandlers) -> tuple[Endpoint, ...]:
    store = ResponseStore()
    return (
        *_generation(dispatcher, Responses(dispatcher, store)),
        *_kept(StoredResponses(store)),
        *_models(models),
    )


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
