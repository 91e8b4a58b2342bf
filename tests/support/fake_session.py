"""A session without a model, for a real worker process: what it is asked says what it does.

    count N [every S]   N tokens "0 ", "1 " …, S seconds apart
    loop N              as count, but it ends after 4 where loops are looked for
    clock N every S     N tokens, each the time at which it was made
    die / die after N   the process ends as a crash does, at once or after N tokens
    hang                no token ever, and deaf to cancel
    break               EngineBroken, after one token
    poison              fail, and so does every later answer of this process
    panic [now]         what a library in Rust panics with, after one token or at once
    stall               no token ever, but it obeys cancel
    end                 no `Finished`, after one token
    fail                EngineError with a vendor's error as its cause, after one token
    refuse [after S]    UsageError before the first token, at once or after S seconds
    call                a tool call
    think WORDS         thinks these words, a token each, then answers "so"
    recall              the conversation, a token a message: "user:hello assistant:hi "…
    mode                what the request says of thinking: "True low 5 {'a': 1} "
    adapter             the adapter that was chosen, in brackets
    fit N               PromptTooLong where the conversation has more than N messages
    misfit              "misfit", which a check of the finished answer finds not to fit
    print               a word on the process's standard output
    anything else       that text again, a token a word

The model's name says how it loads: "slow…" takes a second, "broken…" fails, "crash…" kills the
process, "serial…" answers one at a time; "first-die…" dies at its first load alone.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

from aipc.errors import DeviceError, EngineBroken, EngineError, PromptTooLong, UsageError
from aipc.generate import (
    Alternative,
    Echo,
    Finished,
    GenerationRequest,
    Text,
    Thinking,
    Timings,
    ToolCall,
    Usage,
)
from aipc.generate.structured.tools import choose_tools
from aipc.runtimes.base import Capabilities

LOADER = "fake_session:load"


class FakeStream:
    def __init__(self, session: FakeSession, text: str, options: dict[str, Any]) -> None:
        self._session = session
        self._cancelled = threading.Event()
        self._count = self._thought = 0
        self.prompt_tokens = len(text.split())
        self._started = time.perf_counter()
        self._events = self._answer(text, options)

    def __iter__(self) -> FakeStream:
        return self

    def __next__(self) -> Any:
        return next(self._events)

    def cancel(self) -> None:
        self._cancelled.set()

    def _answer(self, text: str, options: dict[str, Any]) -> Iterator[Any]:
        with self._session.one_more():
            if text == "call":
                yield ToolCall("call_1", options["tools"][0]["function"]["name"], "{}")
            if text.startswith("think "):
                yield from self._think(text.split()[1:])
                text = "so"
            if options.get("echo"):
                yield _echo(text, options)
            words, every = _script(text)
            reason, stop = "tool_calls" if text == "call" else "stop", None
            for word in words:
                if self._cancelled.wait(every) if every else self._cancelled.is_set():
                    reason = "cancelled"
                    break
                if self._count == options.get("max_new_tokens", 1 << 30):
                    reason = "length"
                    break
                loops = text.startswith("loop") and options.get("loops") is not None
                if loops and self._count == 4:
                    reason = "repetition"
                    break
                if word.strip() in options.get("stop", ()):
                    reason, stop = "stop", word.strip()
                    break
                piece = word or f"{time.perf_counter()} "
                told = ((-0.5,), (piece.encode(),)) if options.get("logprobs") else ()
                others = (_alternatives(piece, options),) if options.get("top_logprobs") else ()
                yield Text(piece, (self._count,), *told, top_logprobs=others)
                self._count += 1
        if text != "end":
            yield self._finished(text, reason, stop)

    def _finished(self, text: str, reason: str, stop: str | None) -> Finished:
        total = time.perf_counter() - self._started
        usage = Usage(self.prompt_tokens, self._count, self._thought)
        misfit = "it is no JSON" if text == "misfit" else ""
        return Finished(reason, usage, Timings(0.0, 1.0, total), stop, misfit)

    def _think(self, words: list[str]) -> Iterator[Thinking]:
        for word in words:
            yield Thinking(f"{word} ", (self._count,))
            self._count += 1
            self._thought += 1


def _echo(text: str, options: dict[str, Any]) -> Echo:
    """A token a word."""
    pieces = [f"{word} " for word in text.split(" ")]
    pieces[-1] = pieces[-1].removesuffix(" ")
    tokens = tuple(range(len(pieces)))
    if not options.get("logprobs"):
        return Echo(text, tokens)
    logprobs = (None, *(-1.0 for _ in pieces[1:]))
    top = ((), *(_alternatives(piece, options, -1.0) for piece in pieces[1:]))
    told = tuple(piece.encode() for piece in pieces)
    return Echo(text, tokens, logprobs, told, top if options.get("top_logprobs") else ())


def _alternatives(
    piece: str, options: dict[str, Any], logprob: float = -0.5
) -> tuple[Alternative, ...]:
    """The chosen one is the last; the first is a special token."""
    others = [("<end>", b""), *((f"other{n}", f"other{n}".encode()) for n in range(1, 20))]
    count = options["top_logprobs"] - 1
    ranked = [*others[:count], (piece, piece.encode())]
    return tuple(
        Alternative(1000 + at, logprob + 0.01 * (count - at), text, written)
        for at, (text, written) in enumerate(ranked)
    )


class FakeSession:
    context = 4096

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.concurrent = not arguments["model"].startswith("serial")
        self.capabilities = Capabilities(
            runtime="fake",
            formats=frozenset({"fake"}),
            concurrent=self.concurrent,
            constraints=frozenset({"json_schema"}),
            logprobs=True,
        )
        device = arguments["device"]
        self.facts = {
            "runtime": "fake",
            "device": "CPU" if device == "auto" else device.upper(),
            "artifact": str(Path(arguments["home"]) / arguments["model"]),
        }
        self._is_poisoned = False
        self._gate = threading.Semaphore(64 if self.concurrent else 1)

    def one_more(self) -> _OneMore:
        return _OneMore(self._gate)

    def answer(self, request: GenerationRequest) -> FakeStream:
        choose_tools(request.tools, request.tool_choice)  # refuses what a session refuses
        prompt = request.prompt if request.messages is None else request.messages
        if request.prompt_ids:
            prompt = " ".join(f"id{number}" for number in request.prompt_ids)
        if request.suffix:
            prompt = f"{prompt} before {request.suffix}"
        options = {**request.sampling, "tools": request.tools, "logprobs": request.logprobs}
        options |= {"loops": request.repetition_detection, "stop": request.stop}
        options |= {"echo": request.echo, "top_logprobs": request.top_logprobs}
        options["mode"] = (
            f"{request.think} {request.reasoning_effort} {request.thinking_budget} "
            f"{dict(request.template_options)}"
        )
        if _text_of(prompt) == "adapter":
            prompt = f"[{request.adapter}]"
        return self.stream(prompt, **options)

    def count(self, request: GenerationRequest) -> int:
        return len(_text_of(request.messages).split())

    def stream(self, prompt: Any, **options: Any) -> FakeStream:
        text = _text_of(prompt)
        self._is_poisoned = self._is_poisoned or text == "poison"
        if self._is_poisoned:
            raise EngineError("the fake failed", "ask again") from RuntimeError("sticky")
        if text == "recall":
            text = " ".join(f"{one['role']}:{one.get('content', '')}" for one in prompt)
        if text == "mode":
            text = options["mode"]
        if text.startswith("fit ") and len(prompt) > int(text.split()[1]):
            raise PromptTooLong("the fake's context is full", "ask with less")
        if text == "panic now":
            raise Panic("index out of bounds")
        if text.startswith("refuse"):
            time.sleep(float(text.removeprefix("refuse").removeprefix(" after ") or 0))
            raise UsageError("the fake refuses", "ask it otherwise")
        return FakeStream(self, text, options)

    def generate(self, prompt: str, **options: Any) -> Any:
        (*_, end) = self.stream(prompt, **options)
        return end

    def close(self) -> None:
        pass


class Panic(BaseException):
    """As pyo3's PanicException, which is no `Exception` either."""


_FAILURES = {
    "fail": EngineError("the fake failed", "ask again"),
    "break": EngineBroken("the fake failed", "ask again"),
    "panic": Panic("index out of bounds"),
}


class _OneMore:
    """Fails where a second answer is begun and only one can be under way."""

    def __init__(self, gate: threading.Semaphore) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        if not self._gate.acquire(blocking=False):
            raise EngineError("this engine runs one generation at a time")

    def __exit__(self, *_: object) -> None:
        self._gate.release()


def _text_of(prompt: Any) -> str:
    text = prompt if isinstance(prompt, str) else prompt[-1].get("content")
    return text if isinstance(text, str) else "parts"


def _script(text: str) -> tuple[Iterator[str], float]:
    verb, *rest = text.split() or [""]
    if verb in {"count", "loop"}:
        every = float(rest[2]) if len(rest) > 2 else 0.0
        return (f"{n} " for n in range(int(rest[0]))), every
    if verb == "clock":
        return repeat("", int(rest[0])), float(rest[2])
    if verb == "print":
        os.write(1, b"printed by a library\n")
    if verb == "die":
        return _dying(int(rest[1]) if rest else 0), 0.0
    if verb in {"hang", "stall"}:
        return (_hanging(), 0.0) if verb == "hang" else (repeat("", 1), 3600.0)
    if verb in _FAILURES:
        return _failing(_FAILURES[verb]), 0.0
    return iter([f"{word} " for word in text.split()]), 0.0


def _dying(after: int) -> Iterator[str]:
    for n in range(after):
        yield f"{n} "
    time.sleep(0.2 if after else 0.0)  # what was said is on its way
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    time.sleep(10)


def _hanging() -> Iterator[str]:
    time.sleep(3600)
    yield ""


def _failing(error: BaseException) -> Iterator[str]:
    yield "0 "
    raise error from RuntimeError("vendor's own words")


def load(arguments: dict[str, Any], progress: Any, notify: Any) -> FakeSession:
    name = arguments["model"]
    progress("loading", 1, 2)
    notify(f"loading {name}")
    if name.startswith("slow"):
        time.sleep(1.0)
    if name.startswith("endless"):
        time.sleep(3600)
    if name.startswith("broken"):
        raise DeviceError("the fake has no such device", "ask for another")
    if name.startswith("crash") or (name.startswith("first-die") and _is_first(arguments)):
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return FakeSession(arguments)


def _is_first(arguments: dict[str, Any]) -> bool:
    mark = Path(arguments["home"]) / "died"
    if mark.exists():
        return False
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return True
