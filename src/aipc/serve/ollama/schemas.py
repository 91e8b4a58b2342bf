"""What the bodies of Ollama's API have in common: its options, keep_alive, think, errors.

Source: the types of https://github.com/ollama/ollama, in its package "api".
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from aipc.runtimes.base import MOST_ALTERNATIVES
from aipc.wire.errors import HTTPError
from aipc.wire.schemas import (
    UNLIMITED,
    ApiModel,
    RequestBody,
    RequestPart,
    Stop,
    Whole,
    sampling_field,
)

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60, "h": 3600}
_AMOUNT = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_UNIT = "ns|us|µs|μs|ms|s|m|h"
_DURATION = rf"^[-+]?(?:0|(?:{_AMOUNT}(?:{_UNIT}))+)$"
_LEAST_TOP_P = 0.001
_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "max": "xhigh"}


Duration = Annotated[str, Field(pattern=_DURATION, max_length=40)]
Think = bool | Literal["low", "medium", "high", "max"]
Format = Literal["", "json"] | dict[str, Any]


class OllamaError(ApiModel):
    """What every refusal holds, and the last line of a stream that failed."""

    error: str


def ollama_error(error: HTTPError) -> dict[str, Any]:
    return {"error": error.message}


class OllamaOptions(RequestPart):
    """How the answer is made; what says how the machine is used is ignored."""

    num_predict: Whole | None = Field(
        default=None, ge=-2, description="longest answer, in tokens; below 1: what the context has"
    )
    temperature: float | None = sampling_field("temperature")
    top_k: Whole | None = Field(
        default=None, ge=-1, description="sample among this many tokens; below 1 is off"
    )
    top_p: float | None = Field(
        default=None, ge=0.0, le=1.0, description="sample among tokens that hold this share"
    )
    min_p: float | None = sampling_field("min_p")
    seed: Whole | None = sampling_field("seed")
    stop: Stop | Annotated[list[Stop], Field(max_length=32)] | None = None
    repeat_penalty: float | None = sampling_field("repetition_penalty")
    presence_penalty: float | None = sampling_field("presence_penalty")
    frequency_penalty: float | None = sampling_field("frequency_penalty")
    repeat_last_n: Whole | None = Field(
        default=None, description="with a repeat_penalty 0, which is off, or -1: the whole text"
    )
    penalize_newline: bool | None = Field(
        default=None, description="with a repeat_penalty true only"
    )
    typical_p: float | None = Field(default=None, description="1, which is off, only")
    tfs_z: float | None = Field(default=None, description="1, which is off, only")
    mirostat: Whole | None = Field(default=None, description="0, which is off, only")

    @field_validator("typical_p", "tfs_z", "mirostat")
    @classmethod
    def _off_only(cls, value: float | None, info: ValidationInfo) -> float | None:
        neutral = 0 if info.field_name == "mirostat" else 1
        if value not in {None, neutral}:
            raise PydanticCustomError(
                "unsupported", "it is not supported; leave it out (top_p and min_p are)"
            )
        return value

    @field_validator("repeat_last_n", "penalize_newline")
    @classmethod
    def _whole_text_only(cls, value: int | bool | None, info: ValidationInfo) -> int | bool | None:
        allowed = {True} if info.field_name == "penalize_newline" else {-1, 0}
        penalizes = info.data.get("repeat_penalty") not in {None, 1.0}
        if value is not None and penalizes and value not in allowed:
            raise PydanticCustomError(
                "unsupported", "here repeat_penalty counts every token of the text; leave it out"
            )
        return value

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def sampling(self) -> dict[str, Any]:
        """The fields of `aipc.runtimes.sampling.Sampling` that were given."""
        limit = self.num_predict
        fields = {
            "max_new_tokens": UNLIMITED if limit is not None and limit < 1 else limit,
            "temperature": self.temperature,
            "top_k": None if self.top_k is None else max(self.top_k, 0),
            "top_p": None if self.top_p is None else max(self.top_p, _LEAST_TOP_P),
            "min_p": self.min_p,
            "seed": self.seed,
            "repetition_penalty": 1.0 if self.repeat_last_n == 0 else self.repeat_penalty,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
        }
        return {name: value for name, value in fields.items() if value is not None}


class OllamaBody(RequestBody):
    """A request that a model answers."""

    keep_alive: float | Duration | None = Field(
        default=None,
        description="how long the model stays loaded: seconds or '5m'; 0 goes, below 0 stays",
    )
    options: OllamaOptions | None = None

    @property
    def keep_s(self) -> float | None:
        """Seconds, infinity for ever; None leaves it to the server."""
        if self.keep_alive is None:
            return None
        kept = self.keep_alive
        seconds = _seconds(kept) if isinstance(kept, str) else kept
        return seconds if seconds >= 0 else math.inf

    @property
    def opts(self) -> OllamaOptions:
        return self.options or OllamaOptions()


def _seconds(duration: str) -> float:
    """Of a duration as Go writes it: "1h30m", "-1s", "0"."""
    parts = re.findall(f"({_AMOUNT})({_UNIT})", duration)
    seconds = sum(float(count) * _UNITS[unit] for count, unit in parts)
    return -seconds if duration.startswith("-") else seconds


class GeneratingBody(OllamaBody):
    """A request for text."""

    stream: bool | None = Field(default=None, description="a line for each piece; true without it")
    format: Format | None = Field(default=None, description="'json', or a JSON schema")
    think: Think | None = Field(default=None, description="think first, and how much")
    logprobs: bool | None = None
    top_logprobs: Whole | None = Field(default=None, ge=0, le=MOST_ALTERNATIVES)

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        if isinstance(self.format, dict):
            return self.format
        return {"type": "object"} if self.format == "json" else None

    def asking(self) -> dict[str, Any]:
        """The fields of a `GenerationRequest` that chat and generate have in common."""
        return {
            "sampling": self.opts.sampling(),
            "stop": self.opts.stops,
            "schema": self.schema_of_answer,
            "strict": False,
            "think": self.think if isinstance(self.think, bool | None) else True,
            "reasoning_effort": _EFFORTS.get(self.think) if isinstance(self.think, str) else None,
            "logprobs": bool(self.logprobs),
            "top_logprobs": (self.top_logprobs or 0) if self.logprobs else 0,
        }


def refuse_images(images: list[Any] | None) -> list[Any] | None:
    if images:
        raise PydanticCustomError("image", "an image was sent, and models here read text alone")
    return images


Images = Annotated[list[Any] | None, BeforeValidator(refuse_images)]


def now() -> str:
    return rfc3339(datetime.now(timezone.utc).timestamp())


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 as a date and time in UTC."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
