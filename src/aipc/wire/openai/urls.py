"""The paths of OpenAI's API that ask a model, and what a request of each becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aipc.wire.errors import HTTPError
from aipc.wire.exchange import Exchange
from aipc.wire.openai.chat import ChatExchange
from aipc.wire.openai.chat_schemas import ChatRequest
from aipc.wire.openai.completions import CompletionExchange, CompletionRequest
from aipc.wire.openai.embeddings import EmbeddingExchange, EmbeddingRequest
from aipc.wire.openai.responses import ResponseExchange
from aipc.wire.openai.responses_schemas import ResponseRequest
from aipc.wire.rerank import RerankExchange, RerankRequest
from aipc.wire.schemas import read

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
RESPONSES = "/v1/responses"
EMBEDDINGS = "/v1/embeddings"
RERANK = "/v1/rerank"
_BEGIN: Mapping[str, Callable[[bytes, str], Exchange]] = {
    CHAT: lambda body, client: ChatExchange(read(ChatRequest, body), client),
    COMPLETIONS: lambda body, client: CompletionExchange(read(CompletionRequest, body), client),
    RESPONSES: lambda body, client: ResponseExchange(read(ResponseRequest, body), client),
    EMBEDDINGS: lambda body, client: EmbeddingExchange(read(EmbeddingRequest, body), client),
    RERANK: lambda body, client: RerankExchange(read(RerankRequest, body), client),
}
URLS = tuple(_BEGIN)


def begin(url: str, body: bytes, client: str = "") -> Exchange:
    """Read the body, JSON, of a request of one of `URLS`; ``client`` is for the fair queue.

    Raises:
        HTTPError: 400, the member that is wrong, or what does not go together; 404, no such path.
    """
    start = _BEGIN.get(url)
    if start is None:
        known = ", ".join(URLS)
        raise HTTPError(404, f"url: {url!r:.80} is not known here; it may be: {known}", param="url")
    return start(body, client)
