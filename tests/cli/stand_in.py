"""aipc with a session that stands in for the real one; as a program: stand_in.py ARGUMENTS.

The engine is the fake runtime's, its tokens are bytes, and what it answers is chosen by the
environment variable STAND_IN, a JSON object of `StandIn`'s fields.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aipc.errors import EngineError
from aipc.generate import RepetitionDetection, Reply, Stream, collect, stream
from aipc.generate.thinking.marks import marks_of_template
from aipc.generate.thinking.plan import ThinkingPlan
from aipc.runtimes.base import Decoding
from aipc.runtimes.fake import FakeEngine
from aipc.runtimes.sampling import Sampling
from aipc.timing_spans import TimingSpan

END = 0
_THINKING = {"think", "reasoning_effort", "thinking_budget", "template_options"}


class Bytes:
    """A tokenizer whose tokens are bytes."""

    def decode(self, tokens: list[int]) -> str:
        return bytes(token for token in tokens if token != END).decode("utf-8", "replace")

    def is_silent(self, token: int) -> bool:
        return token == END

    def id_of(self, text: str) -> None:
        """No mark is a token."""

    def bytes_of(self, token: int) -> bytes:
        return b"" if token == END else bytes([token])

    def written(self, token: int) -> str:
        return chr(token)

    def has_letter(self, token: int) -> bool:
        return chr(token).isalpha()


@dataclass
class StandIn:
    """Answers with ``answer``, in which {turns} and {last} stand for what it was told."""

    answer: str = "Paris."
    delay: float = 0.0
    context: int = 10_000
    fails_after: int | None = None
    facts: Mapping[str, Any] = field(
        default_factory=lambda: {"model": "stand-in", "device": "CPU", "runtime": "fake"}
    )
    asked: list[str | list[dict[str, str]]] = field(default_factory=list)
    sampled: list[dict[str, Any]] = field(default_factory=list)
    thought: list[dict[str, Any]] = field(default_factory=list)
    """What each answer was told of thinking; an answer may begin with <think>…</think>."""
    schemas: list[Any] = field(default_factory=list)
    stages: tuple[TimingSpan, ...] = (
        TimingSpan("load", 0, 1.5),
        TimingSpan("read and compile", 1, 1.25),
    )
    loaded: dict[str, Any] = field(default_factory=dict)
    loading_s: float = 0.0
    """That loading takes in a chat, after what receives it at once."""
    refuses: str = ""
    """Why it can't be loaded then."""
    closed: bool = False

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True

    def load(self, name: str | None = None, **options: Any) -> StandIn:
        self.loaded = {"name": name, **options}
        options["notify"]("fetching the stand-in")
        options["progress"]("fetching", 5_000_000, 5_000_000)
        return self

    def prepare_session(self, name: str | None, wanted: Any, **options: Any) -> StandIn:
        return self.load(name, wanted=wanted, **options)

    def open_session(self, prepared: StandIn, *, warm: bool) -> StandIn:
        time.sleep(prepared.loading_s)
        if prepared.refuses:
            raise EngineError(prepared.refuses)
        self.loaded["warm"] = warm
        return self

    def close(self) -> None:
        self.closed = True

    def stream(
        self,
        prompt: Any,
        *,
        stop: tuple[str, ...] = (),
        schema: Any = None,
        repetition_detection: dict[str, int] | None = None,
        ignore_eos: bool = False,
        top_logprobs: int = 0,
        **more: Any,
    ) -> Stream:
        self.thought.append({name: more.pop(name) for name in _THINKING & more.keys()})
        sampling = more
        self.schemas.append(schema)
        whole = isinstance(prompt, str)
        self.asked.append(prompt if whole else [dict(message) for message in prompt])
        prompt = [{"role": "user", "content": prompt}] if whole else prompt
        self.sampled.append(sampling)
        text = self.answer.format(turns=len(prompt), last=prompt[-1]["content"])
        tokens = "".join(message["content"] for message in prompt).encode()
        limit = Sampling(**sampling).max_new_tokens
        return stream(
            FakeEngine(script=text.encode(), delay=self.delay, fails_after=self.fails_after),
            Bytes(),  # type: ignore[arg-type]
            tokens,
            Decoding(limit, logprobs=top_logprobs > 0, top_logprobs=top_logprobs),
            context=self.context,
            stops=stop,
            stop_ids=() if ignore_eos else {END},
            thinking=ThinkingPlan(marks_of_template("</think>")),
            repetition=None
            if repetition_detection is None
            else RepetitionDetection(**repetition_detection),
        )

    def generate(self, prompt: Any, **options: Any) -> Reply:
        return collect(self.stream(prompt, **options))


if __name__ == "__main__":
    from aipc.cli import main
    from aipc.session import prepare, session

    stand_in = StandIn(**json.loads(os.environ.get("STAND_IN", "{}")))
    session.load = stand_in.load
    session.open_session = stand_in.open_session
    prepare.prepare_session = stand_in.prepare_session
    main()
