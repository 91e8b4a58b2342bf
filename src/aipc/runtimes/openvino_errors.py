"""The vendor's errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aipc.errors import EngineError


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn OpenVINO's RuntimeError into ours, with its first telling line.

    Raises:
        EngineError: with the vendor's error as its cause.
    """
    try:
        yield
    except RuntimeError as error:
        raise EngineError(f"{what}: {_reason(error)}", "run with --debug for all of it") from error


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (telling or lines or ["no reason given"])[0][:200]
