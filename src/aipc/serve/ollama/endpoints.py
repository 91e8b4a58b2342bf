"""The paths of Ollama's API."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from aipc.serve.api.dispatch import Dispatcher
from aipc.serve.api.endpoint import GENERATION_ERRORS, LINES, Endpoint
from aipc.serve.ollama.chat import answer_chat
from aipc.serve.ollama.chat_schemas import OllamaChatReply, OllamaChatRequest
from aipc.serve.ollama.embed import (
    OllamaEmbeddingsReply,
    OllamaEmbeddingsRequest,
    OllamaEmbedReply,
    OllamaEmbedRequest,
    answer_embed,
    answer_embeddings,
)
from aipc.serve.ollama.generate import (
    OllamaGenerateReply,
    OllamaGenerateRequest,
    answer_generate,
)
from aipc.serve.ollama.models import OllamaModels
from aipc.serve.ollama.models_schemas import (
    NamedModel,
    RunningList,
    ShownModel,
    TagList,
    VersionBody,
)
from aipc.serve.ollama.schemas import OllamaError, ollama_error
from aipc.serve.ollama.stored_models import PullRequest, PullStatus, RefusedRequest, StoreRequests

if TYPE_CHECKING:
    from aipc.pool.pool import Pool
    from aipc.serve.http.binding import Binding


def endpoints(pool: Pool, dispatcher: Dispatcher, binding: Binding) -> tuple[Endpoint, ...]:
    listed = (
        *_generation(pool, dispatcher),
        *_embedding(pool, dispatcher),
        *_models(OllamaModels(pool)),
        *_store(StoreRequests(pool, binding)),
    )
    return tuple(
        replace(one, error_shape=ollama_error, error_body=OllamaError, stream_media=LINES)
        for one in listed
    )


def _generation(pool: Pool, dispatcher: Dispatcher) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            "POST",
            "/api/chat",
            partial(answer_chat, pool, dispatcher),
            "The next message of a conversation, as Ollama has it.",
            body=OllamaChatRequest,
            returns=OllamaChatReply,
            streams=True,
            chunk=OllamaChatReply,
            errors=GENERATION_ERRORS,
        ),
        Endpoint(
            "POST",
            "/api/generate",
            partial(answer_generate, pool, dispatcher),
            "The answer to a prompt, as Ollama has it.",
            body=OllamaGenerateRequest,
            returns=OllamaGenerateReply,
            streams=True,
            chunk=OllamaGenerateReply,
            errors=GENERATION_ERRORS,
        ),
    )


def _embedding(pool: Pool, dispatcher: Dispatcher) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            "POST",
            "/api/embed",
            partial(answer_embed, pool, dispatcher),
            "A vector of each text, as Ollama has it.",
            body=OllamaEmbedRequest,
            returns=OllamaEmbedReply,
            errors=GENERATION_ERRORS,
        ),
        Endpoint(
            "POST",
            "/api/embeddings",
            partial(answer_embeddings, pool, dispatcher),
            "A vector of a text, as older clients of Ollama ask for it.",
            body=OllamaEmbeddingsRequest,
            returns=OllamaEmbeddingsReply,
            errors=GENERATION_ERRORS,
        ),
    )


def _models(models: OllamaModels) -> tuple[Endpoint, ...]:
    polled = (
        ("/api/tags", models.tags, "Models that may be asked.", TagList),
        ("/api/ps", models.running, "Models that are loaded.", RunningList),
        ("/api/version", models.version, "Whose API it is.", VersionBody),
    )
    return (
        *(
            Endpoint("GET", path, handler, summary, returns=returns, is_polled=True)
            for path, handler, summary, returns in polled
        ),
        Endpoint(
            "POST",
            "/api/show",
            models.show,
            "What is known of a model.",
            body=NamedModel,
            returns=ShownModel,
            errors=(404,),
        ),
    )


def _store(store: StoreRequests) -> tuple[Endpoint, ...]:
    refused = [
        Endpoint(
            "POST",
            path,
            store.refuse,
            "Refused: a model made, copied or sent away by a request.",
            body=RefusedRequest,
            media="text/plain",
        )
        for path in ("/api/create", "/api/copy", "/api/push", "/api/blobs/{digest}")
    ]
    return (
        Endpoint(
            "POST",
            "/api/pull",
            store.pull,
            "Fetch a model into the store, where --allow-pull permits it.",
            body=PullRequest,
            returns=PullStatus,
            streams=True,
            chunk=PullStatus,
            errors=(404, 500),
        ),
        Endpoint(
            "DELETE",
            "/api/delete",
            store.delete,
            "Remove a model from the store, where --allow-delete permits it.",
            body=NamedModel,
            errors=(404, 500),
            media="text/plain",
        ),
        *refused,
    )
