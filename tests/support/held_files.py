"""Windows' refusals, for the systems that have none: a file that another program has open."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

DENIED, SHARED, LOCKED = 5, 32, 33


def refusal(code: int, path: Path | str, number: int = errno.EACCES) -> OSError:
    """As Python raises it there for Windows' error ``code``."""
    texts = {DENIED: "Access is denied", SHARED: "The process cannot access the file"}
    kind = PermissionError if number == errno.EACCES else FileNotFoundError
    error = kind(number, texts.get(code, "refused"), str(path))
    error.winerror = code
    return error


class Held:
    """Stands in for a method of `Path`: refuses ``times`` times, then does as it always did."""

    def __init__(self, method: Callable, code: int, times: int) -> None:
        self.method, self.code, self.times, self.calls = method, code, times, 0

    def __get__(self, path: Path, kind: type) -> Callable:
        def call(*arguments, **options):
            self.calls += 1
            if self.calls <= self.times:
                raise refusal(self.code, path)
            return self.method(path, *arguments, **options)

        return call
