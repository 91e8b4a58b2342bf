"""The vendor's errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from aipc.errors import AipcError, EngineError


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn whatever OpenVINO raises into ours, with its first telling line.

    Raises:
        EngineError: with the vendor's error as its cause.
    """
    try:
        yield
    except AipcError:
        raise
    except Exception as error:
        raise EngineError(
            f"{what}: {telling_line(error)}", "run with --debug for all of it"
        ) from error


_PLACE = re.compile(r"^\[[\d:]+\] \S+:\d+: ")


def telling_line(error: Exception) -> str:
    """What a vendor's error says, without where in its sources."""
    lines = [_PLACE.sub("", line.strip()) for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (telling or lines or ["no reason given"])[0][:200]
