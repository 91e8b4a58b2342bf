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
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aipc.errors import EngineError
from aipc.generate import RepetitionDetection, Reply, Stream, collect, stream
from aipc.generate.request import GenerationRequest
from aipc.generate.thinking.marks import marks_of_template
from aipc.generate.thinking.plan import ThinkingPlan
from aipc.runtimes.base import Decoding
from aipc.runtimes.fake import FakeEngine, FakeRuntime
from aipc.runtimes.sampling import Sampling
from aipc.timing_spans import TimingSpan, span

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
    """That loading takes in a chat's worker."""
    preparing_s: float = 0.0
    """That it takes before that, in the command's own process; of `aipc run` all of it."""
    refuses: str = ""
    """Why it can't be loaded then."""
    closed: bool = False

    @property
    def store(self) -> SimpleNamespace:
        return SimpleNamespace(home=Path(os.environ["AIPC_HOME"]))

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True

    def load(self, name: str | None = None, **options: Any) -> StandIn:
        self.loaded = {"name": name, **options}
        options["notify"]("fetching the stand-in")
        options["progress"]("fetching", 5_000_000, 5_000_000)
        with span("prepare", "looking for devices"):
            end = time.monotonic() + self.preparing_s
            while time.monotonic() < end:  # as work does, since Ctrl-C may come to another thread
                time.sleep(0.05)
        return self

    def prepare_session(self, name: str | None, wanted: Any, **options: Any) -> StandIn:
        return self.load(name, wanted=wanted, **options)

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


class InWorker:
    """The stand-in as a worker has a session."""

    concurrent = True
    capabilities = FakeRuntime().capabilities("cpu")

    def __init__(self, stand_in: StandIn, name: str) -> None:
        self._stand_in = stand_in
        self.context = stand_in.context
        self.facts = {**stand_in.facts, "model": name}

    def generate(self, prompt: str, **sampling: Any) -> Reply:
        """Its warming up, which takes no time of the tests."""
        return collect(StandIn("ok").stream(prompt, **sampling))

    def answer(self, request: GenerationRequest) -> Stream:
        return self._stand_in.stream(
            request.messages,
            repetition_detection=request.repetition_detection,
            **request.sampling,
        )

    def close(self) -> None:
        pass


def stand_in() -> StandIn:
    return StandIn(**json.loads(os.environ.get("STAND_IN", "{}")))


def load_in_worker(arguments: Mapping[str, Any], progress: Any, notify: Any) -> InWorker:
    loaded = stand_in()
    notify("a notice of the worker")
    with span("load", "loading on CPU (fake)"):
        time.sleep(loaded.loading_s)
    if loaded.refuses or arguments["model"] == "phi-3-mini":
        raise EngineError(loaded.refuses or "phi-3-mini is broken")
    return InWorker(loaded, arguments["model"])


if __name__ == "__main__":
    from aipc.cli import main
    from aipc.pool.worker import loading as in_worker
    from aipc.session import loading, prepare

    loading.load = stand_in().load
    prepare.prepare_session = stand_in().prepare_session
    in_worker.LOADER = "stand_in:load_in_worker"
    folder = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    main()
