"""An answer that goes round in a loop: whether it is stopped, and what is said then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.arguments.command import section
from aipc.cli.screen.output import notice_folded

if TYPE_CHECKING:
    from aipc.generate import Reply

PENALTY = 1.1
"""The repetition penalty that is advised: the small model's answers do not loop with it."""

loop_flag = section(
    "Answer",
    click.option(
        "--repetition-detection/--no-repetition-detection",
        "stops_loops",
        default=True,
        help="Stop an answer that goes round in a loop, or let it go on.",
    ),
)


def loop_options(stops_loops: bool) -> dict[str, Any]:
    """The argument for `Session.stream`."""
    return {"repetition_detection": {}} if stops_loops else {}


def warn_if_looped(reply: Reply, given: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """``given`` are the options of this answer, ``facts`` its session's."""
    if reply.finish_reason == "repetition":
        notice_folded(f"[{loop_of(reply)}; {loop_remedies(given, facts)}]")


def loop_of(reply: Reply) -> str:
    from aipc.generate import looping_pattern

    size = looping_pattern(reply.tokens)
    tokens = "one token" if size == 1 else f"the same {size} tokens"
    return f"stopped after {reply.usage.completion_tokens} tokens: {tokens} over and over"


def loop_remedies(given: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """What may help that was not tried yet."""
    ways = [] if _is_penalized(given, facts) else [f"--repetition-penalty {PENALTY}"]
    if facts.get("weights") == "int4":
        is_folder = facts.get("artifact") == facts.get("model")
        how = (
            "convert the model again with --weight-format int8" if is_folder else "--weight-format"
        )
        ways.append(f"weights in int8 ({how})")
    helps = f"{' or '.join(ways)} may help, " if ways else ""
    return f"{helps}--no-repetition-detection lets it go on"


def _is_penalized(given: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether tokens that were there before are made as unlikely as is advised, by whomever."""
    stated = [one["values"] for one in facts.get("sampling_defaults", ())]

    def in_use(name: str, neutral: float) -> float:
        values = (one.get(name) for one in (given, *stated))
        return next((value for value in values if value is not None), neutral)

    return (
        in_use("repetition_penalty", 1.0) >= PENALTY
        or in_use("presence_penalty", 0.0) > 0
        or in_use("frequency_penalty", 0.0) > 0
    )
