"""Stop strings, wherever the borders between tokens fall."""

from __future__ import annotations

from collections.abc import Iterable

from aipc.errors import UsageError


class StopStrings:
    """Passes text on up to the first stop string, which is never passed on.

    The match that is complete first wins, and the longest of those that are complete at
    the same character: so the result does not depend on how the text is cut into pieces.
    Text that may be the beginning of a stop string is held back until that is decided.
    Time is linear in the text, for each stop string (Knuth, Morris and Pratt).
    """

    def __init__(self, stops: Iterable[str]) -> None:
        """Raise UsageError for an empty stop string, or one string in place of several."""
        if isinstance(stops, str):
            raise UsageError(f"stop strings are a list, not {stops!r}", "put it into a list")
        self._matchers = [_Matcher(stop) for stop in stops]
        self._held = ""
        self.matched: str | None = None
        """The stop string that was found; after it no text is passed on."""

    def feed(self, text: str) -> str:
        """Add a piece of text; what can be passed on of it and of the text held before."""
        if not self._matchers or self.matched is not None:
            return text if self.matched is None else ""
        start = len(self._held)
        self._held += text
        for position in range(start, len(self._held)):
            complete = self._step(self._held[position])
            if complete is not None:
                self.matched = complete
                return self._release(position + 1 - len(complete))
        return self._release(len(self._held) - max(each.length for each in self._matchers))

    def finish(self) -> str:
        """The text still held, when no more is to come."""
        return "" if self.matched is not None else self._release(len(self._held))

    @property
    def after(self) -> str:
        """What came behind the stop string in the piece that completed it."""
        return "" if self.matched is None else self._held[len(self.matched) :]

    def _step(self, character: str) -> str | None:
        found = [each.stop for each in self._matchers if each.step(character)]
        return max(found, key=len, default=None)

    def _release(self, end: int) -> str:
        released, self._held = self._held[:end], self._held[end:]
        return released


class _Matcher:
    """How much of the end of the text is a beginning of one stop string."""

    def __init__(self, stop: str) -> None:
        if not stop:
            raise UsageError("a stop string can't be empty", "leave it out")
        self.stop = stop
        self.length = 0
        self._shorter = _borders(stop)

    def step(self, character: str) -> bool:
        while self.length and self.stop[self.length] != character:
            self.length = self._shorter[self.length - 1]
        self.length += self.stop[self.length] == character
        return self.length == len(self.stop)


def _borders(word: str) -> list[int]:
    """For each beginning of ``word``, the longest shorter beginning that it also ends with."""
    borders = [0] * len(word)
    length = 0
    for position in range(1, len(word)):
        while length and word[position] != word[length]:
            length = borders[length - 1]
        length += word[position] == word[length]
        borders[position] = length
    return borders
