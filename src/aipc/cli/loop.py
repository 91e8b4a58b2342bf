"""An answer that goes round in a loop: whether it is stopped, and what is said then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.output import notice_folded

if TYPE_CHECKING:
    from aipc.generate import Reply

PENALTY = 1.1
"""The repetition penalty that is advised: the small model's answers do not loop with it."""

loop_flag = click.option(
    "--repetition-detection/--no-repetition-detection",
    "stops_loops",
    default=True,
    help="Stop an answer that goes round in a loop, or let it go on.",
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
    stated = [one["values"].get("repetition_penalty") for one in facts.get("sampling_defaults", ())]
    is_penalized = any(name.endswith("_penalty") for name in given) or any(
        value is not None and value >= PENALTY for value in stated
    )
    ways = [] if is_penalized else [f"--repetition-penalty {PENALTY}"]
    ways += ["weights in int8 (--weight-format)"] if facts.get("weights") == "int4" else []
    helps = f"{' or '.join(ways)} may help, " if ways else ""
    return f"{helps}--no-repetition-detection lets it go on"
