"""A sample of an accelerator's answers, judged by the CPU while nobody asks.

The canary judges a device before its first use; drivers, clocks and memory change afterwards.  The
sample is kept in memory alone, one answer at a time, and is in no log.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aipc.child import Child, ChildEnded, safe_environment
from aipc.devices.system.memory import read_memory
from aipc.devices.system.power import is_on_battery
from aipc.errors import EngineBroken
from aipc.records import Misfit, plain, read
from aipc.runtimes.base import Decoding
from aipc.session.live.judge import LiveAnswer, LiveTask, LiveVerdict

COMMAND = (sys.executable, "-m", "aipc.session.live.judge")
SHARE = 0.01
"""Of the time, that judging may take."""
LEAST, MOST = 16, 64
"""Tokens of an answer that are judged; fewer tell too little, and more cost too much."""
MOST_PROMPT = 2048
IDLE_S = 5.0
"""Without a request, after which nobody asks."""
_GUESS_S = 10.0  # for the first; then what the last took
_LIMIT_S = 120.0
_TIMES_WEIGHTS = 2.5  # the CPU holds them as they are, and rearranged


@dataclass(frozen=True)
class JudgedDevice:
    """Whose answers are judged, and how."""

    folder: str
    runtime: str
    device: str
    driver: str | None
    nbytes: int
    """Of the model."""
    command: Sequence[str] = COMMAND


class LiveCheck:
    """``on_wrong`` is called once, with what was seen; from then on every answer is refused.

    Any thread may call.
    """

    def __init__(
        self,
        judged: JudgedDevice,
        on_wrong: Callable[[str], None],
        *,
        share: float = SHARE,
        idle_s: float = IDLE_S,
    ) -> None:
        self._judged = judged
        self._on_wrong = on_wrong
        self._share = share
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._running = 0
        self._idle_since = self._began_at = time.monotonic()
        self._spent_s, self._next_s = 0.0, _GUESS_S
        self._offered = 0
        self._sample: LiveAnswer | None = None
        self._child: Child | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._wrong = ""
        self._verdicts: list[LiveVerdict] = []

    @property
    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        latest = self._verdicts[-1].shortfall.mean if self._verdicts else None
        return {"judged": len(self._verdicts), "shortfall": latest, "wrong": self._wrong or None}

    def begin(self) -> None:
        """An answer is wanted: the judge has to wait.

        Raises:
            EngineBroken: the device was seen to compute wrongly, or has another driver.
        """
        with self._changed:
            if self._wrong:
                what = f"{self._judged.device} is not used any more: {self._wrong}"
                raise EngineBroken(what, "load the model again")
            self._running += 1
            child, self._child = self._child, None
        if child is not None:
            child.end()

    def end(self) -> None:
        with self._changed:
            self._running -= 1
            self._idle_since = time.monotonic()
            self._changed.notify()

    def wants(self, prompt: Sequence[int], decoding: Decoding) -> bool:
        """Whether the tokens of an answer can be judged by their scores alone."""
        is_changed = decoding.constraint is not None or bool(
            decoding.logit_bias or decoding.adapter
        )
        return not is_changed and len(prompt) <= MOST_PROMPT

    def offer(self, prompt: Sequence[int], tokens: Sequence[int], decoding: Decoding) -> None:
        """An answer, of which each has the same chance of being the one that is kept."""
        if len(tokens) < LEAST:
            return
        with self._changed:
            self._offered += 1
            if random.random() * self._offered >= 1:
                return
            self._sample = LiveAnswer(
                tuple(prompt),
                tuple(tokens[:MOST]),
                decoding.temperature,
                decoding.repetition_penalty,
                decoding.presence_penalty,
                decoding.frequency_penalty,
            )
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._run, name="live-check", daemon=True)
                self._thread.start()

    def close(self) -> None:
        with self._changed:
            self._is_closed, self._sample = True, None
            child, self._child = self._child, None
            self._changed.notify()
        if child is not None:
            child.end()

    def _run(self) -> None:
        while (sample := self._wait()) is not None:
            started = time.monotonic()
            verdict = self._verdict(sample)
            took_s = time.monotonic() - started
            self._spent_s += took_s
            if verdict is not None:
                self._next_s = took_s
                self._note(verdict)

    def _wait(self) -> LiveAnswer | None:
        """For a sample, and a time at which judging it disturbs nobody; None at the end."""
        with self._changed:
            while not self._is_closed and not self._wrong:
                now = time.monotonic()
                due = self._began_at + (self._spent_s + self._next_s) / self._share
                left_s = max(self._idle_since + self._idle_s, due) - now
                if self._running or self._sample is None:
                    self._changed.wait()
                elif left_s > 0:
                    self._changed.wait(left_s)
                elif self._is_at_rest():
                    sample, self._sample, self._offered = self._sample, None, 0
                    return sample
                else:
                    self._changed.wait(max(self._idle_s, 1.0))
        return None

    def _is_at_rest(self) -> bool:
        room = read_memory().available
        return not is_on_battery() and room > _TIMES_WEIGHTS * self._judged.nbytes

    def _verdict(self, sample: LiveAnswer) -> LiveVerdict | None:
        """None where it could not be found, or somebody asked meanwhile."""
        about = self._judged
        task = LiveTask(about.folder, about.runtime, about.device, sample)
        with suppress(OSError, ChildEnded, Misfit):
            child = Child(about.command, env=safe_environment())
            with self._changed:
                is_free = not (self._running or self._is_closed)
                self._child = child if is_free else None
            try:
                return read(LiveVerdict, child.ask(plain(task), _LIMIT_S)) if is_free else None
            finally:
                with self._changed:
                    self._child = None
                child.end()
        return None

    def _note(self, verdict: LiveVerdict) -> None:
        found = verdict.shortfall
        wrong = ""
        drivers = {self._judged.driver, verdict.driver} - {None}
        if len(drivers) > 1:
            wrong = f"its driver was {self._judged.driver} and is {verdict.driver} now"
        elif found.is_wrong:
            wrong = (
                f"{found.tokens} tokens of an answer are {found.mean:.1f} nats a token less likely "
                "by the CPU's own scores than they may be"
            )
            self._on_wrong(wrong)
        with self._changed:
            self._verdicts = [*self._verdicts, verdict]
            self._wrong = wrong
