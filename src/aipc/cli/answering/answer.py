"""An answer on the screen, and on stderr why and how fast it was made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from aipc.cli.answering.thinking import ThinkingDisplay
from aipc.cli.screen.output import (
    end_interrupted_line,
    notice,
    notice_folded,
    printable,
    write,
    write_line,
)
from aipc.cli.screen.waiting import WaitingLine
from aipc.runtimes.blob_cache import READY
from aipc.timing_spans import TimingSpan
from aipc.units import count

if TYPE_CHECKING:
    from aipc.generate import Event, Reply, ResolvedSampling, Stream
    from aipc.pool.own_worker import WorkerStream
    from aipc.serve.client import RemoteStream


_THINKING = ("think", "thinking_budget", "reasoning_effort", "template_options")
_NAME, _SECONDS = 34, 8
_LEAST_S = 0.005
"""Shorter stages get no line."""


class AnswerDisplay(Protocol):
    """An answer on stdout while it is written."""

    def write(self, text: str) -> None:
        """A piece more."""

    def end(self) -> None:
        """No more will come; what was written ends with a line."""


class PlainAnswer:
    """As it comes; on a terminal without control characters."""

    def __init__(self) -> None:
        self._last = ""

    def write(self, text: str) -> None:
        self._last = text
        write(printable(text))

    def end(self) -> None:
        if self._last and not self._last.endswith("\n"):
            write_line()


def show(
    events: Stream | RemoteStream | WorkerStream,
    shown: list[str] | None = None,
    display: AnswerDisplay | None = None,
    *,
    hides_thinking: bool = False,
) -> Reply:
    """Write pieces as they come, what was thought before to stderr; then fold them into the reply.

    Until the first comes a terminal's stderr says what is being done.

    ``shown`` collects the pieces, for a caller that uses them after an interruption.
    Afterwards the generation is over and the screen is at the start of a line, in any case.
    """
    from aipc.generate import collect

    pieces: list[str] = [] if shown is None else shown
    display = display or PlainAnswer()
    thinking, waiting = ThinkingDisplay(is_hidden=hides_thinking), WaitingLine()
    try:
        with closing(events):
            waiting.show(_waited_for(events))
            return collect(_written(events, pieces, display, thinking, waiting))
    except KeyboardInterrupt:
        if not waiting.end() and not pieces:
            end_interrupted_line()
        raise
    finally:
        waiting.end()
        thinking.end()
        display.end()


def warn_if_cut(reply: Reply) -> None:
    if reply.finish_reason == "length":
        tokens = reply.usage.completion_tokens
        notice(f"[cut after {tokens} tokens; --max-new-tokens sets the limit]")


def as_json(
    reply: Reply, facts: Mapping[str, Any], sampling: ResolvedSampling | None
) -> dict[str, Any]:
    """What ``--json`` prints: the reply, then the session's facts, and how tokens were chosen."""
    shown = {name: fact for name, fact in facts.items() if name != "sampling_defaults"}
    stated = {} if sampling is None else {"sampling": sampling.as_dict()}
    return {**reply.as_dict(), **shown, **stated}


def _waited_for(events: Any) -> str:
    """A server does not tell the tokens of a prompt before its answer, a worker soon does."""
    tokens = getattr(events, "prompt_tokens", None)
    if tokens is None:
        return "waiting for the first word"
    return f"computing a prompt of {count(tokens, 'token')}"


def _written(
    events: Iterable[Any],
    pieces: list[str],
    display: AnswerDisplay,
    thinking: ThinkingDisplay,
    waiting: WaitingLine,
) -> Iterator[Event]:
    from aipc.generate import Thinking
    from aipc.pool.worker.messages import Begun

    for event in events:
        if isinstance(event, Begun):
            waiting.show(_waited_for(event))
            continue
        waiting.end()
        if isinstance(event, Thinking):
            thinking.write(event.thinking)
        elif event.text:
            thinking.end()
            pieces.append(event.text)
            display.write(event.text)
        yield event


def read_sampling(
    options: Mapping[str, Any], facts: Mapping[str, Any], more: Mapping[str, Any]
) -> ResolvedSampling | None:
    """How a session with these ``facts`` chooses tokens; None of a server that does not tell.

    ``more`` are other arguments of `Session.stream`, among them what is said of thinking.

    Raises:
        CheckpointError: a value of the model's that is out of bounds.
    """
    from aipc.generate import GenerationRequest, SamplingDefaults, resolve
    from aipc.generate.thinking.mode import forbids_thinking
    from aipc.runtimes.sampling import Sampling

    if "sampling_defaults" not in facts:
        return None
    defaults = [SamplingDefaults(**one) for one in facts["sampling_defaults"]]
    thinking = {name: more[name] for name in _THINKING if name in more}
    thinks = not forbids_thinking(GenerationRequest(prompt="", **thinking))
    return resolve(Sampling(**options), defaults, thinks=thinks)


def show_reasons(facts: Mapping[str, Any], sampling: ResolvedSampling | None) -> None:
    """On stderr, before the answer; ``facts`` are a session's."""
    device = f"{facts.get('device')} ({facts.get('device_name')})"
    weights = facts.get("weights") or "as it was made"
    lines = [f"{facts.get('model')}, {weights}, on {device} through {facts.get('runtime')}"]
    lines += [f"- {reason}" for reason in facts.get("why", ())]
    if facts.get(READY):
        lines.append("- its weights were kept ready for this processor: `aipc cache list`")
    if sampling is not None:
        lines.append(f"- tokens are chosen by {sampling}")
    for line in lines:
        notice_folded(line)
    notice("")


def show_timings(reply: Reply, stages: Sequence[TimingSpan], *, is_cold: bool) -> None:
    """A small table on stderr; ``is_cold``: the answer is the first since the model was loaded."""
    notice("")
    for line in timing_lines(reply, stages, is_cold=is_cold):
        notice(line)


def timing_lines(reply: Reply, stages: Sequence[TimingSpan], *, is_cold: bool) -> Iterator[str]:
    """One line a stage, those that took no time left out."""
    for one in stages:
        if one.seconds >= _LEAST_S:
            yield _line("  " * one.depth + one.name, one.seconds)
    timings, usage = reply.timings, reply.usage
    first = timings.first_token_s
    if first is not None:
        detail = f"{usage.prompt_tokens} tokens, {usage.prompt_tokens / first:.1f} a second"
        name = f"prompt to first token{', cold' if is_cold else ''}"
        yield _line(name, first, detail)
        rate = timings.decode_tokens_per_s
        detail = f"{usage.completion_tokens - 1} tokens"
        detail += f", {rate:.1f} a second, {1000 / rate:.1f} ms each" if rate else ""
        yield _line("further tokens", timings.total_s - first, detail)
    yield _line("all together", _loading(stages) + timings.total_s)
    if first is not None and is_cold:
        yield (
            "Cold: the first prompt after loading, in which a runtime still arranges the weights; "
            "`aipc bench`"
        )
        yield "measures warm ones."


def timing_facts(reply: Reply, stages: Sequence[TimingSpan], *, is_cold: bool) -> dict[str, Any]:
    """The same for JSON: the reply's timings, and those of loading."""
    first = reply.timings.first_token_s
    return {
        **asdict(reply.timings),
        "prefill_tokens_per_s": reply.usage.prompt_tokens / first if first else None,
        "is_cold": is_cold,
        "stages": [asdict(one) for one in stages],
        "all_s": _loading(stages) + reply.timings.total_s,
    }


def _loading(stages: Sequence[TimingSpan]) -> float:
    return sum(one.seconds for one in stages if one.depth == 0)


def _line(name: str, seconds: float, detail: str = "") -> str:
    return f"{name:{_NAME}}{seconds:{_SECONDS}.2f} s  {detail}".rstrip()
