"""A request's JSON, read with limits: what `json` alone would let through is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from aipc.wire.errors import HTTPError

MAX_DEPTH = 64
_LONGEST, _UNSIGNED = 20, 2**64


def parse(body: bytes) -> Any:
    """The value of a UTF-8 text, which may begin with its mark (U+FEFF).

    Raises:
        HTTPError: 400; no JSON, a name twice in one object, NaN, a number beyond 64 bits, half a
            surrogate pair, or nested deeper than `MAX_DEPTH`.
    """
    try:
        value = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_real,
            parse_constant=_constant,
        )
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        where = "not UTF-8"
        if isinstance(error, json.JSONDecodeError):
            where = f"{error.msg.lower()}, line {error.lineno}, column {error.colno}"
        raise _invalid(f"the body is no JSON in UTF-8 ({where})") from error
    except RecursionError as error:
        raise _too_deep() from error
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return value
    raise _too_deep()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _invalid("the body has a name twice in one object; give each once")
    return members


def _integer(digits: str) -> int:
    number = int(digits) if len(digits) <= _LONGEST else _UNSIGNED
    if not -(2**63) <= number < _UNSIGNED:
        raise _invalid("the body has a number of more than 64 bits")
    return number


def _real(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _invalid("the body has a number of more than 64 bits")
    return number


def _constant(name: str) -> float:
    raise _invalid(f"the body has {name}, which is no JSON")


def _inside(value: Any) -> Iterator[Any]:
    """The values in a value; its strings are checked on the way."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_text(name)
            yield inner
    elif isinstance(value, list):
        yield from value
    elif isinstance(value, str):
        _check_text(value)


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _invalid("the body has half a surrogate pair, which is no text") from error


def _too_deep() -> HTTPError:
    return _invalid(f"the body is nested deeper than {MAX_DEPTH} levels")


def _invalid(message: str) -> HTTPError:
    return HTTPError(400, message, code="invalid_json")
