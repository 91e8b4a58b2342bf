"""Requests, events and errors between the server and a worker, and their form as plain data."""

from __future__ import annotations

import base64
import dataclasses
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from aipc import errors
from aipc.errors import MORE_MEMORY, AipcError, EngineError, is_out_of_memory
from aipc.generate import (
    Alternative,
    Echo,
    Event,
    Finished,
    Text,
    Thinking,
    Timings,
    ToolCall,
    Usage,
)
from aipc.generate.request import GenerationRequest

_KNOWN = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, AipcError)
}
_PRIVATE = {"client"}
_BYTES = "latin-1"  # a character of JSON for each
_TEXTS: Mapping[str, Any] = {"text": Text, "thinking": Thinking, "prompt": Echo}
"""The member that an event's text is in, to its class."""


@dataclass(frozen=True)
class Waiting:
    """The answer has not begun; 1 is the position of the next one.

    Also sent while the model is being loaded.
    """

    position: int


@dataclass(frozen=True)
class Embedded:
    """The vectors of the next few texts, in the order of the request."""

    vectors: tuple[str, ...]
    """Each float32, little-endian, in base64, as it is sent to the client."""
    cut: tuple[int, ...] = ()
    """Indices among the request's texts of those whose end was left out."""


@dataclass(frozen=True)
class Scored:
    """The scores of the next few texts, in the order of the request; ``cut`` as `Embedded`'s."""

    scores: tuple[float, ...]
    cut: tuple[int, ...] = ()


def floats(vector: str) -> list[float]:
    """The numbers of one of them."""
    return [number for (number,) in struct.iter_unpack("<f", base64.b64decode(vector))]


@dataclass(frozen=True)
class Begun:
    """The prompt is being computed."""

    prompt_tokens: int


Read: TypeAlias = Embedded | Scored
"""What is made of texts that are read as a whole."""
ServerEvent: TypeAlias = Event | Read | Waiting | Begun
"""Of one answer: any `Waiting`; `Begun`, if asked for; events or `Read`; one `Finished`.

A worker sends `Begun` of every answer that has a prompt.
"""


class VendorError(Exception):
    """The text of the vendor's error that caused an `AipcError` in the worker."""


def request_to_data(request: GenerationRequest) -> dict[str, Any]:
    """The fields that a worker needs; those with their default are left out."""
    fields = {field.name: field.default for field in dataclasses.fields(request)}
    return {
        name: value
        for name, default in fields.items()
        if (value := getattr(request, name)) != default and name not in _PRIVATE
    }


def request_from_data(data: Mapping[str, Any]) -> GenerationRequest:
    return GenerationRequest(**data)


def event_to_data(event: Event | Read | Begun) -> dict[str, Any]:
    if isinstance(event, Begun):
        return {"begun": event.prompt_tokens}
    if isinstance(event, Embedded):
        return {"vectors": event.vectors, "cut": event.cut}
    if isinstance(event, Scored):
        return {"scores": event.scores, "cut": event.cut}
    for name, written in _TEXTS.items():
        if isinstance(event, written):
            fields = {"tokens": event.tokens, "logprobs": event.logprobs}
            fields["pieces"] = [piece.decode(_BYTES) for piece in event.pieces]
            if event.top_logprobs:
                fields["top"] = [[*map(_alternative_data, each)] for each in event.top_logprobs]
            return {name: getattr(event, name), **fields}
    kind = "call" if isinstance(event, ToolCall) else "finished"
    return {kind: dataclasses.asdict(event)}


def event_from_data(data: Mapping[str, Any]) -> Event | Read | Begun:
    if "begun" in data:
        return Begun(data["begun"])
    if "vectors" in data:
        return Embedded(tuple(data["vectors"]), tuple(data["cut"]))
    if "scores" in data:
        return Scored(tuple(data["scores"]), tuple(data["cut"]))
    for name, kind in _TEXTS.items():
        if name in data:
            pieces = tuple(piece.encode(_BYTES) for piece in data["pieces"])
            top = tuple(tuple(map(_alternative, each)) for each in data.get("top", ()))
            told = (tuple(data["logprobs"]), pieces, top)
            event: Event = kind(data[name], tuple(data["tokens"]), *told)
            return event
    if "call" in data:
        return ToolCall(**data["call"])
    end = data["finished"]
    usage, timings = Usage(**end["usage"]), Timings(**end["timings"])
    return Finished(end["reason"], usage, timings, end["stop"], end["misfit"])


def _alternative_data(one: Alternative) -> list[Any]:
    return [one.token, one.logprob, one.text, one.piece.decode(_BYTES)]


def _alternative(data: Sequence[Any]) -> Alternative:
    token, logprob, text, piece = data
    return Alternative(token, logprob, text, piece.encode(_BYTES))


def error_to_data(error: BaseException) -> dict[str, Any]:
    """Our own errors with their cause's text; any other as an `EngineError`."""
    if isinstance(error, AipcError):
        kind = next(one.__name__ for one in type(error).__mro__ if one.__name__ in _KNOWN)
        return {"kind": kind, "what": error.what, "fix": error.fix, "cause": _cause(error)}
    what, fix = f"the worker failed: {_line(error)}", ""
    if is_out_of_memory(error):
        what, fix = f"out of memory ({_line(error)})", MORE_MEMORY
    return {"kind": EngineError.__name__, "what": what, "fix": fix, "cause": _cause(error)}


def error_from_data(data: Mapping[str, Any]) -> AipcError:
    """The error, its cause a `VendorError` with the text that the cause had."""
    error = _KNOWN[data["kind"]](data["what"], data["fix"])
    if data["cause"]:
        error.__cause__ = VendorError(data["cause"])
    return error


def _cause(error: BaseException) -> str:
    return _line(error.__cause__) if error.__cause__ is not None else ""


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
