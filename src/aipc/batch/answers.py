"""An answer as a line of a batch's output, as OpenAI's batches have it.

``{"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error": {"code",
"message"}}``.  A request that was refused has a response too, with its status and the error's body;
``error`` is for one that got none.  ``aipc`` is an extension: what answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aipc.wire.errors import HTTPError, openai_error
from aipc.wire.schemas import new_id

OK = 200
_LINE_ENDS = {ord(mark): f"\\u{ord(mark):04x}" for mark in "\x85\u2028\u2029"}
"""Those that JSON leaves in a text, and at which `str.splitlines` and others split."""


@dataclass(frozen=True)
class TokenUse:
    """Tokens of one answer, or of several together."""

    prompt: int = 0
    cached: int = 0
    """Of the prompts'."""
    completion: int = 0
    thinking: int = 0
    """Of the completions'."""

    def __add__(self, other: TokenUse) -> TokenUse:
        return TokenUse(
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.completion + other.completion,
            self.thinking + other.thinking,
        )


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """``aipc``: node, device, driver and the artifact's hash, as far as they are known."""

    id: str
    custom_id: str | None
    status_code: int | None = None
    request_id: str | None = None
    body: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    aipc: Mapping[str, Any] | None = None

    @property
    def is_failed(self) -> bool:
        return self.error is not None or self.status_code != OK

    @property
    def use(self) -> TokenUse:
        """What it took; its path has the one name or the other for each number."""
        usage = (self.body or {}).get("usage") or {}
        old, new = ("prompt", "completion"), ("input", "output")
        prompt, completion = new if "input_tokens" in usage else old
        cached = usage.get(f"{prompt}_tokens_details") or {}
        thinking = usage.get(f"{completion}_tokens_details") or {}
        return TokenUse(
            usage.get(f"{prompt}_tokens") or 0,
            cached.get("cached_tokens") or 0,
            usage.get(f"{completion}_tokens") or 0,
            thinking.get("reasoning_tokens") or 0,
        )

    def to_line(self) -> bytes:
        """JSON, with the end of the line."""
        response = None
        if self.status_code is not None:
            response = {
                "status_code": self.status_code,
                "request_id": self.request_id,
                "body": self.body,
            }
        members: dict[str, Any] = {
            "id": self.id,
            "custom_id": self.custom_id,
            "response": response,
            "error": self.error,
        }
        if self.aipc is not None:
            members["aipc"] = self.aipc
        text = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
        return text.translate(_LINE_ENDS).encode() + b"\n"

    @staticmethod
    def from_line(line: bytes) -> LineAnswer:
        """Read what `to_line` wrote.

        Raises:
            ValueError: it is no such line.
        """
        members = json.loads(line)
        try:
            response = members["response"] or {}
            return LineAnswer(
                id=members["id"],
                custom_id=members["custom_id"],
                status_code=response.get("status_code"),
                request_id=response.get("request_id"),
                body=response.get("body"),
                error=members["error"],
                aipc=members.get("aipc"),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("it is no answer to a line") from error


def new_answer(custom_id: str, body: Mapping[str, Any], request_id: str, **more: Any) -> LineAnswer:
    """The whole answer of a model."""
    return LineAnswer(
        id=new_id("batch_req", "_"),
        custom_id=custom_id,
        status_code=OK,
        request_id=request_id,
        body=body,
        **more,
    )


def refused_answer(custom_id: str, error: HTTPError, **more: Any) -> LineAnswer:
    """That of a request which failed, as a server would have said it."""
    return LineAnswer(
        id=new_id("batch_req", "_"),
        custom_id=custom_id,
        status_code=error.status,
        request_id=error.request_id,
        body=openai_error(error),
        **more,
    )


def failed_answer(custom_id: str | None, code: str, message: str) -> LineAnswer:
    """That of a line which was not asked."""
    error = {"code": code, "message": message}
    return LineAnswer(id=new_id("batch_req", "_"), custom_id=custom_id, error=error)
