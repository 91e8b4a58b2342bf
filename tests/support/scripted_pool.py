"""A pool without workers, whose answers are what a test has written down."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from aipc.generate import Finished, Text, Thinking, Timings, Usage
from aipc.models.source import HubSource
from aipc.models.store import Store
from aipc.pool.device_list import ReachableDevice
from aipc.pool.model_registry import ModelCard
from aipc.pool.status import ModelStatus
from aipc.pool.worker.messages import Waiting
from aipc.pool.worker_client import Ready

CARDS = (
    ModelCard("tiny", "tiny", HubSource("org/tiny"), "a small one", 1, 0, 2048),
    ModelCard("large", "large", HubSource("org/large"), "a large one", 1, 0, 131_072),
)
DEVICES = (
    ReachableDevice("cpu", "Some CPU", ("fake",)),
    ReachableDevice("gpu.1", "Some GPU", ("fake",)),
)
_READY = Ready(2048, True, ("json_schema",), True, {"device": "CPU", "runtime": "fake"})


class ScriptedPool:
    """``script`` is what the next answers are made of.

    A text is a piece, of one token; a number a pause in seconds; an error is raised; `Waiting`
    and `Thinking` are said.
    """

    def __init__(self) -> None:
        self.device = "auto"
        self.loading = {}
        self.store = Store(Path("not-used"))
        self.reset()

    def reset(self) -> None:
        self.script: list[str | float | Waiting | Thinking | Exception] = []
        self.asked = []
        """(model, device, `GenerationRequest`) of each answer begun."""
        self.left = threading.Event()
        """Set when an answer was closed before its end."""
        self.doing = ""

    def models(self):
        return CARDS

    async def card(self, model):
        return next(card for card in CARDS if card.name == model)

    async def devices(self):
        return DEVICES

    def statuses(self):
        state = "loading" if self.doing else "ready"
        ready = None if self.doing else _READY
        none = dict.fromkeys(("waiting", "running", "tokens", "answers", "restarts"), 0)
        rest = {"memory_bytes": None, "notices": (), "pid": None, "error": None}
        about = ("tiny", "auto", "org--tiny--main", state, ready, self.doing)
        return (ModelStatus(*about, **none, **rest),)

    async def load(self, model, device=None, keep_s=None):
        raise NotImplementedError

    async def close(self, drain_s=0.0):
        pass

    async def answer(self, model, device, ask, keep_s=None):
        self.asked.append((model, device, ask))
        try:
            for step in self.script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield Text(step, (1,)) if isinstance(step, str) else step
        except (GeneratorExit, asyncio.CancelledError):
            self.left.set()
            raise
        tokens = sum(isinstance(step, str) for step in self.script)
        yield Finished("stop", Usage(9, tokens), Timings(0.1, 41.27, 1.0))
