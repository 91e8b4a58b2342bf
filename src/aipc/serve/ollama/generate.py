"""/api/generate: a prompt in, an answer out, or what follows a raw text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response

from aipc.generate.request import GenerationRequest
from aipc.serve.api.dispatch import Dispatcher, client_of
from aipc.serve.ollama.loading import load_or_unload
from aipc.serve.ollama.reply import Answer, OllamaReply, Piece
from aipc.serve.ollama.schemas import GeneratingBody, Images
from aipc.wire.errors import HTTPError
from aipc.wire.schemas import read

if TYPE_CHECKING:
    from aipc.pool.pool import Pool


class OllamaGenerateRequest(GeneratingBody):
    prompt: str | None = Field(
        default=None, description="without one the model is loaded, and no more"
    )
    suffix: str | None = Field(default=None, description="what comes behind the answer")
    system: str | None = Field(default=None, description="the system's message")
    raw: bool | None = Field(default=None, description="continue the prompt as it is")
    template: str | None = Field(default=None, description="empty only")
    context: list[int] | None = Field(default=None, description="empty only")
    images: Images = Field(default=None, description="empty only")

    @field_validator("template")
    @classmethod
    def _own_template(cls, value: str | None) -> str | None:
        if value:
            raise PydanticCustomError(
                "template", "the model's own is taken; with raw the prompt may be any text"
            )
        return value

    @field_validator("context")
    @classmethod
    def _no_context(cls, value: list[int] | None) -> list[int] | None:
        if value:
            raise PydanticCustomError("context", "send the conversation to /api/chat instead")
        return value


class OllamaGenerateReply(OllamaReply):
    response: str
    thinking: str | None = None


async def answer_generate(pool: Pool, dispatcher: Dispatcher, request: Request) -> Response:
    body = read(OllamaGenerateRequest, await request.body())
    answer = Answer(body, OllamaGenerateReply, _content)
    if not body.prompt:
        return answer.loaded(await load_or_unload(pool, body))
    asked = GenerationRequest(**_prompt(body), client=client_of(request), **body.asking())
    return await answer.respond(dispatcher, request, asked)


def _prompt(body: OllamaGenerateRequest) -> dict[str, Any]:
    if body.suffix:
        return {"prompt": body.prompt, "suffix": body.suffix}
    if body.raw and body.system:
        raise HTTPError(400, "system: a raw prompt has no messages; leave one out", param="system")
    if body.system:
        turns = (("system", body.system), ("user", body.prompt))
        return {"messages": [{"role": role, "content": content} for role, content in turns]}
    return {"prompt": body.prompt, "raw": bool(body.raw)}


def _content(piece: Piece) -> dict[str, Any]:
    thinking = {"thinking": piece.thinking} if piece.thinking else {}
    return {"response": piece.text, **thinking}
