"""A session that answers from a function: what measures read of one, and no model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aipc.generate import Finished, Reply, Text, Timings, Usage


@dataclass
class Answering:
    """``answer`` makes a text of a prompt, or a token of token ids."""

    answer: Any
    facts: dict[str, Any] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False

    def generate(self, prompt, **options):
        self.asked.append(prompt)
        self.options.append(options)
        text = self.answer(prompt)
        tokens = tuple(text.encode())
        usage, timings = Usage(1, len(tokens)), Timings(None, None, 0.0)
        return Reply(text, tokens, "stop", usage, timings)

    def stream_ids(self, prompt, **options):
        self.asked.append(tuple(prompt))
        self.options.append(options)
        token = self.answer(tuple(prompt))
        yield Text("", (token,))
        yield Finished("length", Usage(len(prompt), 1), Timings(None, None, 0.0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True
