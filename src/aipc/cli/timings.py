"""Where the time of one answer went, from the model's name to the last token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aipc.cli.output import notice
from aipc.timing_spans import TimingSpan

if TYPE_CHECKING:
    from aipc.generate import Reply

_NAME, _SECONDS = 34, 8
_LEAST_S = 0.005
"""Stages shorter than this are not worth a line."""


def show_timings(reply: Reply, stages: Sequence[TimingSpan]) -> None:
    """A small table on stderr; the answer is a session's first, and so a cold one."""
    notice("")
    for line in timing_lines(reply, stages):
        notice(line)


def timing_lines(reply: Reply, stages: Sequence[TimingSpan]) -> Iterator[str]:
    """One line a stage, those that took no time left out."""
    for one in stages:
        if one.seconds >= _LEAST_S:
            yield _line("  " * one.depth + one.name, one.seconds)
    timings, usage = reply.timings, reply.usage
    first = timings.first_token_s
    if first is not None:
        told = f"{usage.prompt_tokens} tokens, {usage.prompt_tokens / first:.1f} a second"
        yield _line("prompt to first token, cold", first, told)
        rate = timings.decode_tokens_per_s
        told = f"{usage.completion_tokens - 1} tokens"
        told += f", {rate:.1f} a second, {1000 / rate:.1f} ms each" if rate else ""
        yield _line("further tokens", timings.total_s - first, told)
    yield _line("all together", _loading(stages) + timings.total_s)
    if first is not None:
        yield (
            "Cold: the first prompt after loading, in which a runtime still arranges the weights; "
            "`aipc bench`"
        )
        yield "measures warm ones."


def timing_facts(reply: Reply, stages: Sequence[TimingSpan]) -> dict[str, Any]:
    """The same for JSON: the reply's timings, and what came before it."""
    first = reply.timings.first_token_s
    return {
        **asdict(reply.timings),
        "prefill_tokens_per_s": reply.usage.prompt_tokens / first if first else None,
        "is_cold": True,
        "stages": [asdict(one) for one in stages],
        "all_s": _loading(stages) + reply.timings.total_s,
    }


def _loading(stages: Sequence[TimingSpan]) -> float:
    return sum(one.seconds for one in stages if one.depth == 0)


def _line(name: str, seconds: float, told: str = "") -> str:
    return f"{name:{_NAME}}{seconds:{_SECONDS}.2f} s  {told}".rstrip()
