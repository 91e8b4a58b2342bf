"""Finds the answers of one worker that make no token, and a worker that does not end them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

DEAF_S = 10.0
"""Until the worker of an answer that was ended, and goes on all the same, counts as deaf."""
_LOOKS = 10  # in the time that an answer has
_RAREST_S = 10.0
_PROMPT_TOKENS = 1000
"""Of a prompt, that may take as long as a token: of 14B on two cores they take five minutes."""


class Watchdog:
    """``on_stuck`` is called with an answer's number, once; ``on_deaf`` where it goes on then.

    Engines begin answers in the order in which they came, and some only when others have ended.  So
    one without a token is stuck where it has begun, where a later one has, or where none goes on.
    A prompt has more time the longer it is, and so has all that goes on only once it is computed.
    Time for which this very process stood still, as in a suspended machine, does not count.
    """

    def __init__(
        self, limit_s: float, on_stuck: Callable[[int], None], on_deaf: Callable[[], None]
    ) -> None:
        self._limit_s = limit_s
        self._every_s = min(limit_s / _LOOKS, _RAREST_S)
        self._on_stuck = on_stuck
        self._on_deaf = on_deaf
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at: dict[int, float] = {}
        self._ended_at: dict[int, float] = {}
        self._prompts: dict[int, int] = {}
        """Tokens of those that are being computed, or wait for it."""
        self._patience_s: dict[int, float] = {}
        """How long each answer has for its next token."""
        self._begun: set[int] = set()
        self._latest_begun = 0
        self._any_at = 0.0

    def start(self, number: int) -> None:
        """Watch an answer; its number is higher than that of any before."""
        self._heard_at[number] = self._loop.time()
        self._patience_s[number] = self._longest_s
        self._look_later()

    def expect(self, number: int, prompt_tokens: int) -> None:
        """So many tokens are computed before the first one of its answer."""
        self._prompts[number] = prompt_tokens
        for one, patience_s in self._patience_s.items():
            self._patience_s[one] = max(patience_s, self._longest_s)

    def patience_s(self, number: int) -> float:
        """Seconds that it has for its next token, from when it was last heard of."""
        return self._patience_s[number]

    def note(self, number: int) -> None:
        """It made a token."""
        self._prompts.pop(number, None)
        self._heard_at[number] = self._any_at = self._loop.time()
        self._patience_s[number] = self._longest_s
        self._begun.add(number)
        self._latest_begun = max(self._latest_begun, number)

    def end(self, number: int) -> None:
        del self._heard_at[number], self._patience_s[number]
        self._prompts.pop(number, None)
        self._ended_at.pop(number, None)
        self._begun.discard(number)

    def stop(self) -> None:
        """Watch nothing any more."""
        self._heard_at.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look_later(self) -> None:
        if self._timer is None and self._heard_at:
            due = self._loop.time() + self._every_s
            self._timer = self._loop.call_at(due, self._look, due)

    def _look(self, due: float) -> None:
        self._timer = None
        now = self._loop.time()
        if now - due > self._every_s:
            self._forget(now - due)
        for number in [*self._heard_at]:
            if number not in self._ended_at and self._is_stuck(number, now):
                self._ended_at[number] = now
                self._on_stuck(number)
        if any(now - at >= DEAF_S for at in self._ended_at.values()):
            self._on_deaf()
            return
        self._look_later()

    def _is_stuck(self, number: int, now: float) -> bool:
        patience_s = self._patience_s[number]
        if now - self._heard_at[number] < patience_s:
            return False
        is_begun = number in self._begun or number < self._latest_begun
        return is_begun or now - self._any_at >= patience_s

    @property
    def _longest_s(self) -> float:
        """The patience with any answer now: engines compute one prompt after the other."""
        return self._limit_s * (1 + max(self._prompts.values(), default=0) / _PROMPT_TOKENS)

    def _forget(self, seconds: float) -> None:
        self._any_at += seconds
        for times in (self._heard_at, self._ended_at):
            times.update({number: at + seconds for number, at in times.items()})
