"""The vendors' errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from aipc.errors import AipcError, EngineBroken, EngineError

_SOURCE = re.compile(r"^\[[\d:]+\] \S+:\d+: ")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn whatever a vendor raises into ours, with the first line that gives a reason.

    Raises:
        EngineError: with the vendor's error as its cause.
    """
    try:
        yield
    except AipcError:
        raise
    except Exception as error:
        reason = reason_line(error)
        raise EngineError(f"{what}: {reason}", "run with --debug for all of it") from error


def reason_line(error: Exception) -> str:
    """The reason in a vendor's error, without where in its sources."""
    lines = [_SOURCE.sub("", line.strip()) for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    nothing = "no memory left" if isinstance(error, MemoryError) else "no reason given"
    return (reasons or lines or [nothing])[0][:200]


def again(error: AipcError) -> EngineError:
    """The same for another reader: an exception keeps the trace of the thread that raises it."""
    kind = EngineBroken if isinstance(error, EngineBroken) else EngineError
    same = kind(error.what, error.fix)
    same.__cause__ = error.__cause__
    return same


def broken(error: AipcError) -> EngineBroken:
    """What ended the thread that computes, for those who wait for it."""
    same = EngineBroken(error.what, error.fix)
    same.__cause__ = error.__cause__
    return same
