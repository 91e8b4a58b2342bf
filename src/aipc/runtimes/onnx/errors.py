"""The vendor's errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aipc.errors import AipcError, EngineError


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the vendor's errors into ours, with their first line.

    Raises:
        EngineError: with the vendor's error as its cause.
    """
    try:
        yield
    except AipcError:
        raise
    except (RuntimeError, MemoryError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = (lines or ["no memory left" if isinstance(error, MemoryError) else "no reason"])[0]
        raise EngineError(f"{what}: {reason[:200]}", "run with --debug for all of it") from error
