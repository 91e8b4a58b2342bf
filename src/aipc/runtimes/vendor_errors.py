"""The vendors' errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from aipc.errors import AipcError, EngineBroken, EngineError, is_failure, is_out_of_memory

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
    except BaseException as error:
        if not is_failure(error):
            raise
        reason = reason_line(error)
        raise EngineError(f"{what}: {reason}", "run with --debug for all of it") from error


def reason_line(error: BaseException) -> str:
    """The reason in a vendor's error, without where in its sources."""
    if is_out_of_memory(error):
        return "no memory left"
    lines = [_SOURCE.sub("", line.strip()) for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (reasons or lines or ["no reason given"])[0][:200]


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
