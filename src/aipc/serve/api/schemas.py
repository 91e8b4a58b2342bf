"""What every request's body has in common, and how one is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from aipc.devices.device import PATTERN
from aipc.options import Option, describe
from aipc.runtimes.base import Sampling
from aipc.serve.http import strict_json
from aipc.serve.http.errors import HTTPError

R = TypeVar("R", bound="Request")

_BRANCHES = {"str", "int", "float", "none", "dict", "list"}
_DECLARED: Mapping[str, Option] = {option.name: option for option in describe(Sampling)}


def sampled(name: str) -> Any:
    """A field that is the option of `Sampling` of that name: its bounds and its help."""
    option = _DECLARED[name]
    return Field(default=None, ge=option.minimum, le=option.maximum, description=option.help)


class Wire(BaseModel):
    """A JSON object: no type is converted, no member dropped."""

    model_config = ConfigDict(extra="forbid", strict=True)


Zero = Annotated[float, Field(ge=0, le=0)]
Stop = Annotated[str, Field(min_length=1, max_length=256)]


class Request(Wire):
    """Which model answers, on what, and what clients send that changes nothing here."""

    REFUSED: ClassVar[Mapping[str, str]] = {}
    """Fields of OpenAI's that are not taken, and what to do instead."""

    model: str = Field(min_length=1, max_length=300)
    device: str | None = Field(
        default=None,
        pattern=f"^({PATTERN.pattern})$",
        max_length=20,
        description="extension: the device that shall answer; the server's own choice without it",
    )
    user: str | None = Field(default=None, description="without effect here")
    metadata: dict[str, str] | None = Field(default=None, description="without effect here")
    service_tier: str | None = Field(default=None, description="without effect here")
    safety_identifier: str | None = Field(default=None, description="without effect here")
    prompt_cache_key: str | None = Field(default=None, description="without effect here")
    store: Literal[False] | None = Field(default=None, description="nothing is stored")


class SampledRequest(Request):
    """A request for text, and how its tokens are chosen."""

    stream: bool | None = None
    temperature: float | None = sampled("temperature")
    top_p: float | None = sampled("top_p")
    top_k: int | None = sampled("top_k")
    repetition_penalty: float | None = sampled("repetition_penalty")

    def sampling(self, limit: int | None, seed: int | None = None) -> dict[str, Any]:
        """The fields of `Sampling` that were given."""
        asked = {
            "max_new_tokens": limit,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "repetition_penalty": self.repetition_penalty,
            "seed": seed,
        }
        return {name: value for name, value in asked.items() if value is not None}


class StreamOptions(Wire):
    include_usage: bool | None = Field(default=None, description="usage in a chunk of its own")
    include_obfuscation: bool | None = Field(default=None, description="without effect here")


class Completing(SampledRequest):
    """What chat and plain completions share."""

    n: int | None = Field(default=None, ge=1, le=8, description="answers; one seed higher for each")
    seed: int | None = sampled("seed")
    stop: Stop | Annotated[list[Stop], Field(min_length=1, max_length=4)] | None = None
    stream_options: StreamOptions | None = None
    presence_penalty: Zero | None = Field(default=None, description="0 only")
    frequency_penalty: Zero | None = Field(default=None, description="0 only")
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = Field(
        default=None, description="empty only"
    )

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def seeds(self) -> list[int | None]:
        """One for each answer."""
        seeds = range(self.n or 1)
        return [None if self.seed is None else (self.seed + at) % 2**32 for at in seeds]


def read(kind: type[R], body: bytes) -> R:
    """The request that a body holds.

    Raises:
        HTTPError: 400, with the first field that is wrong.
    """
    try:
        return kind.model_validate(strict_json.parse(body))
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False)[0], kind.REFUSED) from error


def _refusal(error: ErrorDetails, refused: Mapping[str, str]) -> HTTPError:
    place = ".".join(str(part) for part in error["loc"] if _is_named(part))
    if error["type"] != "extra_forbidden":
        message, code = f"{place or 'the body'}: {_sentence(error)}", "invalid_value"
    elif place in refused:
        message, code = f"{place} is not supported; {refused[place]}", "unsupported_parameter"
    else:
        message, code = f"unknown field '{place}'", "unknown_parameter"
    return HTTPError(400, message, code=code, param=place or None)


def _is_named(part: str | int) -> bool:
    """Whether it is a member or an index; of a union, pydantic names the branch as well."""
    return isinstance(part, int) or (part.isidentifier() and part not in _BRANCHES)


def _sentence(error: ErrorDetails) -> str:
    return error["msg"][:1].lower() + error["msg"][1:]
