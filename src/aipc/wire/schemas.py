"""What the bodies of every API have in common, and how those of requests are read."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from aipc.devices.device import PATTERN
from aipc.generate import Alternative, Finished, RepetitionDetection, Text
from aipc.options import Option, describe
from aipc.runtimes.sampling import Sampling
from aipc.wire import strict_json
from aipc.wire.errors import HTTPError
from aipc.wire.ignored import ignored_members
from aipc.wire.refusals import refusal

R = TypeVar("R", bound="ApiModel")

UNLIMITED = 2**31 - 1
"""Tokens; the context ends an answer sooner."""
DECLARED: Mapping[str, Option] = {option.name: option for option in describe(Sampling)}
"""The options of `Sampling`, with their bounds and help."""


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number; 40.0 is one too, as in JSON Schema."""
Stop = Annotated[str, Field(min_length=1, max_length=256)]


def sampling_field(name: str) -> Any:
    """A field with the bounds and the help of the `Sampling` option of that name."""
    return _field(DECLARED[name], None)


def _repetition_field(name: str) -> Any:
    option = next(one for one in describe(RepetitionDetection) if one.name == name)
    return _field(option, option.default)


def _field(option: Option, default: Any) -> Any:
    return Field(default=default, ge=option.minimum, le=option.maximum, description=option.help)


class ApiModel(BaseModel):
    """A JSON object: no type is converted, no member dropped."""

    model_config = ConfigDict(extra="forbid", strict=True)

    REFUSED: ClassVar[Mapping[str, str]] = {}
    """Members that would change the answer and are not supported, and what to do instead."""
    NEUTRAL: ClassVar[Mapping[str, Sequence[Any]]] = {}
    """Values at which a refused member asks for nothing."""


class RequestPart(ApiModel):
    """A JSON object of a client's: members unknown here are ignored, and a null is no member.

    A null where a member is required is one all the same.
    """

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict) or None not in data.values():
            return data
        fields = cls.model_fields.items()
        wanted = {field.alias or name for name, field in fields if field.is_required()}
        return {name: value for name, value in data.items() if value is not None or name in wanted}


class RequestBody(RequestPart):
    """The model and the device that shall answer."""

    _ignored: tuple[str, ...] = PrivateAttr(())

    model: str = Field(min_length=1, max_length=300)
    device: str | None = Field(
        default=None,
        pattern=f"^({PATTERN.pattern})$",
        max_length=20,
        description="extension: the device that shall answer; the server's own choice without it",
    )

    @property
    def ignored(self) -> tuple[str, ...]:
        """Paths of the members that were taken and have no effect."""
        return (*self._ignored, *self.unheeded())

    def ignore(self, path: str) -> None:
        """Name a member that turned out to have no effect."""
        self._ignored += (path,)

    def unheeded(self) -> Iterator[str]:
        """Paths of members that are known, but have no effect with the value that they have."""
        yield from ()


class RepetitionBody(ApiModel):
    """What counts as a loop; the last two members are an extension of vLLM's three."""

    max_pattern_size: int = _repetition_field("max_pattern_size")
    min_pattern_size: int = _repetition_field("min_pattern_size")
    min_count: int = _repetition_field("min_count")
    min_tokens: int = _repetition_field("min_tokens")
    min_wordless_tokens: int = _repetition_field("min_wordless_tokens")


class SamplingBody(RequestBody):
    """A request for text, and how its tokens are sampled."""

    stream: bool | None = None
    repetition_detection: RepetitionBody | None = Field(
        default=None, description="extension, as vLLM's: end an answer that goes round in a loop"
    )
    temperature: float | None = sampling_field("temperature")
    top_p: float | None = sampling_field("top_p")
    top_k: Whole | None = sampling_field("top_k")
    min_p: float | None = sampling_field("min_p")
    repetition_penalty: float | None = sampling_field("repetition_penalty")
    presence_penalty: float | None = sampling_field("presence_penalty")
    frequency_penalty: float | None = sampling_field("frequency_penalty")

    def sampling(self, limit: int | None, seed: int | None = None) -> dict[str, Any]:
        """The fields of `Sampling` that were given."""
        own = {name: getattr(self, name, None) for name in DECLARED}
        fields = {**own, "max_new_tokens": limit, "seed": seed}
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def loops(self) -> dict[str, int] | None:
        """The fields of `RepetitionDetection`, if loops are to be looked for."""
        asked = self.repetition_detection
        return None if asked is None else asked.model_dump()


def read(kind: type[R], body: bytes) -> R:
    """Parse and validate the body of a request.

    Raises:
        HTTPError: 400, with the member that is wrong.
    """
    members = strict_json.parse(body)
    _refuse_unsupported(kind, members)
    try:
        read = kind.model_validate(members)
    except ValidationError as error:
        raise refusal(error, members) from error
    if isinstance(read, RequestBody):
        ignored = (path for path in ignored_members(members, read) if path not in kind.REFUSED)
        read._ignored = tuple(ignored)  # noqa: SLF001 - made here
    return read


def _refuse_unsupported(kind: type[ApiModel], members: Any) -> None:
    for name in members if isinstance(members, dict) else ():
        value = members[name]
        asks = value is not None and value not in kind.NEUTRAL.get(name, ())
        if asks and name in kind.REFUSED and name not in kind.model_fields:
            message = f"{name} is not supported; {kind.REFUSED[name]}"
            raise HTTPError(400, message, code="unsupported_parameter", param=name)


def new_id(kind: str, joint: str = "-") -> str:
    """Such as "chatcmpl-0f…"; never given twice."""
    return f"{kind}{joint}{secrets.token_hex(12)}"


class TimingsBody(ApiModel):
    """An extension: what the server saw, waiting for other answers left out."""

    first_token_s: float | None = Field(description="seconds to the first token")
    decode_tokens_per_s: float | None = Field(description="tokens a second after the first")
    total_s: float = Field(description="seconds to the end")


def timings_of(ends: Sequence[Finished]) -> TimingsBody | None:
    """None for several choices at once, whose times mean little."""
    if len(ends) != 1:
        return None
    timings = ends[0].timings
    return TimingsBody(
        first_token_s=timings.first_token_s,
        decode_tokens_per_s=timings.decode_tokens_per_s,
        total_s=timings.total_s,
    )


def tokens_with_logprobs(
    event: Text,
) -> Iterator[tuple[str, float, bytes, tuple[Alternative, ...]]]:
    """(text, logprob, bytes, alternatives) of each token.

    In the text, a part of a character is U+FFFD.

    Tokens that write nothing are left out, and those of an event without text, whose tokens
    wrote a stop text or a tool call.
    """
    if not event.text:
        return
    top = event.top_logprobs or repeat(())
    for piece, value, alternatives in zip(event.pieces, event.logprobs, top, strict=False):
        if piece:
            yield piece.decode(errors="replace"), value, piece, alternatives
