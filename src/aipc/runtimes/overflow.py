"""Two engines as one: prompts too long for the first go to the second, and the user is notified."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aipc.errors import EngineError, PromptTooLong
from aipc.progress import Notify
from aipc.runtimes.base import Decoding, Engine, Generation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class OverflowEngine:
    """Answers on ``first``, and what it refuses as `PromptTooLong` on a second engine.

    Made only where the user allowed it.  The second is opened by ``open_second`` when the
    first such prompt comes, and stays open.  ``notify`` receives every prompt that moves.
    """

    def __init__(self, first: Engine, open_second: Callable[[], Engine], notify: Notify) -> None:
        self._first = first
        self._open_second = open_second
        self._notify = notify
        self._lock = threading.Lock()
        self._second: Engine | None = None
        self._overflowed = 0
        self._closed = False

    @property
    def device(self) -> str:
        """The first engine's."""
        return self._first.device

    @property
    def facts(self) -> Mapping[str, Any]:
        """The first engine's; ``overflow`` has the second's, and how many prompts it took."""
        second = {} if self._second is None else dict(self._second.facts)
        return {**self._first.facts, "overflow": {"prompts": self._overflowed, **second}}

    def start(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> Generation:
        """As the protocol says.

        Raises:
            AipcError: as the engine that answers; a second that can't be opened is one too.
        """
        try:
            return self._first.start(prompt, decoding, stop_ids)
        except PromptTooLong as error:
            refused = error.what
        second = self._opened()
        self._notify(f"{refused}: answering on {second.device}")
        return second.start(prompt, decoding, stop_ids)

    def scores(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        """The first engine's."""
        return self._first.scores(ids)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._first.close()
            if self._second is not None:
                self._second.close()

    def _opened(self) -> Engine:
        with self._lock:
            if self._closed:
                raise EngineError("the model has been closed", "load it again")
            if self._second is None:
                self._second = self._open_second()
            self._overflowed += 1
            return self._second
