"""Texts in, what follows each out: the exchange of /v1/completions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Annotated, Any, Literal

from pydantic import Field

from aipc.generate import Alternative, Echo, Finished, Text
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import ServerEvent, Waiting
from aipc.runtimes.base import MOST_ALTERNATIVES
from aipc.wire.errors import HTTPError
from aipc.wire.exchange import Exchange, FrameWriter
from aipc.wire.openai.schemas import (
    FINGERPRINT,
    CompletionBase,
    StopReason,
    UsageBody,
    ending,
    usage_members,
    usage_of,
)
from aipc.wire.schemas import UNLIMITED, ApiModel, TimingsBody, new_id
from aipc.wire.sse import DONE, frame, waiting_frame

LIMIT = 16
"""Tokens of an answer without ``max_tokens``, as in OpenAI's API."""
MAX_CHOICES = 1024

TokenId = Annotated[int, Field(ge=0, lt=2**31)]
TokenIds = Annotated[list[TokenId], Field(min_length=1)]
OnePrompt = str | list[int]


class CompletionRequest(CompletionBase):
    prompt: (
        str
        | Annotated[list[str], Field(min_length=1, max_length=MAX_CHOICES)]
        | TokenIds
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_CHOICES)]
    ) = Field(
        description="a text to continue, without a chat template, or its token ids; or a list"
    )
    max_tokens: int | None = Field(
        default=None,
        ge=-1,
        description=f"longest answer, in tokens; {LIMIT} without it, -1: the whole context",
    )
    logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] | None = Field(
        default=None, description="of the chosen tokens, and of so many of the likeliest"
    )
    echo: bool | None = Field(default=None, description="give the prompt before the answer")
    best_of: Annotated[int, Field(ge=1, le=1)] | None = Field(default=None, description="1 only")
    suffix: str | None = Field(
        default=None, description="what comes behind the answer, for models that fill in a middle"
    )

    @property
    def prompts(self) -> list[OnePrompt]:
        first = self.prompt[0] if isinstance(self.prompt, list) else None
        return self.prompt if isinstance(first, str | list) else [self.prompt]  # type: ignore[list-item, return-value]

    @property
    def limit(self) -> int:
        limit = LIMIT if self.max_tokens is None else self.max_tokens
        return UNLIMITED if limit < 0 else limit


class CompletionLogprobs(ApiModel):
    tokens: list[str] = Field(description="part of a character as bytes:\\x…")
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int] = Field(description="characters into the text")


class CompletionChoice(ApiModel):
    index: int = Field(description="n for each prompt, in their order")
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length"] | None
    stop_reason: StopReason = None


class Completion(ApiModel):
    """A whole completion, or a chunk of one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: UsageBody | None = None
    timings: TimingsBody | None = None


class CompletionExchange(Exchange):
    """Raises HTTPError, 400, for what does not go together."""

    def __init__(self, body: CompletionRequest, client: str = "") -> None:
        self.body: CompletionRequest = body
        self.requests = _generation_requests(body, client)
        self._writer = _Writer(body)
        self._texts: list[list[Echo | Text]] = [[] for _ in self.requests]

    def add(self, index: int, event: ServerEvent) -> None:
        if isinstance(event, Echo | Text):
            self._texts[index].append(event)
        elif isinstance(event, Finished):
            self._writer.ends[index] = event

    def whole(self) -> Completion:
        writer = self._writer
        choices = [
            writer.choice(at, each, writer.ends[at].reason) for at, each in enumerate(self._texts)
        ]
        return writer.completion(choices=choices, **writer.usage())

    def frame_writer(self) -> FrameWriter:
        return _Writer(self.body)


def _generation_requests(body: CompletionRequest, client: str) -> list[GenerationRequest]:
    """One for each choice: n of each prompt."""
    _check(body)
    return [
        GenerationRequest(
            **({"prompt": prompt} if isinstance(prompt, str) else {"prompt_ids": prompt}),
            raw=True,
            suffix=body.suffix or None,
            echo=bool(body.echo),
            sampling=body.sampling(body.limit, seed),
            stop=body.stops,
            ignore_eos=bool(body.ignore_eos),
            logprobs=body.logprobs is not None,
            top_logprobs=body.logprobs or 0,
            repetition_detection=body.loops,
            client=client,
        )
        for prompt in body.prompts
        for seed in body.seeds()
    ]


def _check(body: CompletionRequest) -> None:
    """Refuse what does not go together."""
    if body.max_tokens == 0 and not body.echo:
        raise _refusal("max_tokens", "is 0 only with echo")
    if body.suffix and body.echo:
        raise _refusal("echo", "can't give a prompt with a suffix")
    if body.suffix and not all(isinstance(prompt, str) for prompt in body.prompts):
        raise _refusal("suffix", "goes with a text, not with token ids")
    if len(body.prompts) * (body.n or 1) > MAX_CHOICES:
        raise _refusal("n", f"of each prompt are more than {MAX_CHOICES} answers")


def _refusal(name: str, why: str) -> HTTPError:
    return HTTPError(400, f"{name} {why}", code="invalid_value", param=name)


class _Writer(FrameWriter):
    """The bodies of one completion, with each token's offset in its choice's text."""

    def __init__(self, body: CompletionRequest) -> None:
        self.ends: dict[int, Finished] = {}
        self.prompts = [prompt for prompt in body.prompts for _ in body.seeds()]
        """Of each choice."""
        self._body = body
        self._offsets = [0] * len(self.prompts)
        self._no_usage = {"usage": None} if body.wants_usage else {}
        self._same: dict[str, Any] = {
            "id": new_id("cmpl"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": body.model,
            "system_fingerprint": FINGERPRINT,
        }

    def frames(self, index: int, event: ServerEvent) -> Iterator[bytes]:
        if isinstance(event, Waiting):
            yield waiting_frame(event)
        elif isinstance(event, Echo | Text):
            choice = self.choice(index, [event])
            if choice.text or (choice.logprobs and choice.logprobs.tokens):
                yield self._frame(choices=[choice], **self._no_usage)
        elif isinstance(event, Finished):
            self.ends[index] = event
            yield self._frame(choices=[self.choice(index, [], event.reason)], **self._no_usage)

    def last_frames(self) -> Iterator[bytes]:
        if self._body.wants_usage:
            yield self._frame(choices=[], **self.usage())
        yield DONE

    def completion(self, **members: Any) -> Completion:
        return Completion(**self._same, **members)

    def _frame(self, **members: Any) -> bytes:
        return frame(self.completion(**members).model_dump_json(exclude_unset=True))

    def usage(self) -> dict[str, Any]:
        """The members "usage" and "timings"; each prompt counts once."""
        ends = [self.ends[index] for index in sorted(self.ends)]
        count = self._body.n or 1
        bodies = [usage_of(ends[at : at + count]) for at in range(0, len(ends), count)]
        if len(bodies) == 1:
            return usage_members(ends)
        prompt = sum(each.prompt_tokens for each in bodies)
        made = sum(each.completion_tokens for each in bodies)
        total = UsageBody(prompt_tokens=prompt, completion_tokens=made, total_tokens=prompt + made)
        return {"usage": total}

    def choice(
        self, index: int, events: Sequence[Echo | Text], reason: Any = None
    ) -> CompletionChoice:
        logprobs = self._logprobs(index, events) if self._body.logprobs is not None else None
        text = "".join(self._text(index, event) for event in events)
        return CompletionChoice(index=index, text=text, logprobs=logprobs, **ending(reason))

    def _text(self, index: int, event: Echo | Text) -> str:
        prompt = self.prompts[index]
        if isinstance(event, Text):
            return event.text
        return prompt if isinstance(prompt, str) else event.prompt

    def _logprobs(self, index: int, events: Sequence[Echo | Text]) -> CompletionLogprobs:
        tokens = [token for event in events for token in self._tokens(index, event)]
        return CompletionLogprobs(
            tokens=[token.text for token in tokens],
            token_logprobs=[token.logprob for token in tokens],
            top_logprobs=[token.top for token in tokens] if self._body.logprobs else None,
            text_offset=[token.offset for token in tokens],
        )

    def _tokens(self, index: int, event: Echo | Text) -> Iterator[_Token]:
        """The tokens of an event; without those that wrote a stop text, which is left out."""
        start, text = self._offsets[index], self._text(index, event)
        self._offsets[index] += len(text)
        # sentencepiece writes a space before the first word that is not in a prompt's text
        extra = len(b"".join(event.pieces)) - len(text.encode()) if isinstance(event, Echo) else 0
        top = event.top_logprobs or repeat(())
        written = b""
        told = zip(event.tokens, event.pieces, event.logprobs, top, strict=False)
        for token, piece, logprob, others in told:
            if text or not piece:
                before = written[max(extra, 0) :].decode(errors="ignore")
                likeliest = None if logprob is None else _likeliest(token, piece, logprob, others)
                yield _Token(_spelled(piece), logprob, likeliest, start + len(before))
            written += piece


@dataclass(frozen=True)
class _Token:
    text: str
    logprob: float | None
    top: dict[str, float] | None
    offset: int


def _likeliest(
    token: int, piece: bytes, logprob: float, others: Sequence[Alternative]
) -> dict[str, float]:
    """By text, the chosen one among them; of two that are written alike, the likelier."""
    found: dict[str, float] = {}
    for one in others:
        found.setdefault(_spelled(one.piece) or one.text, one.logprob)
    if token not in {one.token for one in others}:
        found.setdefault(_spelled(piece), logprob)
    return found


def _spelled(piece: bytes) -> str:
    """A token's text; where that is a part of a character, its bytes as OpenAI writes them."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)
