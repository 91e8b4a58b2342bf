"""One ask on its way through the server: what is said to it, from its waiting to its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from aipc.errors import AipcError
from aipc.generate import Finished, Text
from aipc.serve.requests import GenerationRequest, Saying, Waiting


class PendingRequest(AsyncIterator[Saying]):
    """Iterated by whoever asked; told from the same event loop.

    Texts that came in since the last look are given as one, except where each token's
    probability is told.
    """

    def __init__(self, ask: GenerationRequest) -> None:
        self.ask = ask
        self.number: int | None = None
        """Of the answer under way; None before it is begun."""
        self.begun_s = 0.0
        """When it was begun, on the event loop's clock."""
        self.is_over = False
        self._said: deque[Saying] = deque()
        self._error: AipcError | None = None
        self._news = asyncio.Event()
        self._position = 0

    def wait_at(self, position: int) -> None:
        if position != self._position:
            self._position = position
            self.say(Waiting(position))

    def say(self, saying: Saying) -> None:
        if self._said and isinstance(self._said[-1], Waiting):
            self._said.pop()
        self._said.append(saying)
        self.is_over = self.is_over or isinstance(saying, Finished)
        self._news.set()

    def fail(self, error: AipcError) -> None:
        """Ends it; what was said before is still given."""
        if not self.is_over:
            self._error = error
            self.is_over = True
            self._news.set()

    async def __anext__(self) -> Saying:
        while not self._said:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self.is_over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._taken()

    def _taken(self) -> Saying:
        first = self._said.popleft()
        if not isinstance(first, Text) or first.logprobs or not self._said:
            return first
        texts = [first]
        while self._said and isinstance(following := self._said[0], Text):
            texts.append(following)
            self._said.popleft()
        return joined(texts)


def joined(texts: list[Text]) -> Text:
    return Text(
        "".join(piece.text for piece in texts),
        tuple(token for piece in texts for token in piece.tokens),
        tuple(value for piece in texts for value in piece.logprobs),
        tuple(each for piece in texts for each in piece.pieces),
    )
