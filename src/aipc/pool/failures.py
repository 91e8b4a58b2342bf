"""Errors between a request and the worker that answers it.

AipcError
├── ModelUnknown      no model of that name may be requested
├── WrongModel        a model for another task than the request's
├── ModelTooLarge     it alone takes more memory than the budget
├── ServerBusy        too many requests wait already; try again later
├── Draining          the server is stopping
├── WorkerDied        the model's process ended, was stuck, or does not start
├── NoProgress        the answer made no token for too long and was ended
└── GaveWay           a background answer was ended for an interactive request; ask it again
"""

from __future__ import annotations

import math

from aipc.errors import AipcError


class ModelUnknown(AipcError):
    pass


class WrongModel(AipcError):
    pass


class ModelTooLarge(AipcError):
    pass


class TryLater(AipcError):
    """``retry_after_s``: whole seconds after which another try makes sense, at least 1."""

    def __init__(self, what: str, fix: str = "", *, retry_after_s: float = 1.0) -> None:
        super().__init__(what, fix)
        self.retry_after_s = max(1, math.ceil(retry_after_s))


class ServerBusy(TryLater):
    pass


class Draining(TryLater):
    pass


class WorkerDied(TryLater):
    pass


class NoProgress(TryLater):
    pass


class GaveWay(TryLater):
    pass


def draining() -> Draining:
    return Draining("the server is stopping", "ask again when it is back", retry_after_s=5)
