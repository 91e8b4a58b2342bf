"""An answer on its way to the screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from aipc.cli.output import end_interrupted_line, notice, printable, write, write_line

if TYPE_CHECKING:
    from aipc.generate import Event, Reply, Stream
    from aipc.serve.client import RemoteStream


def show(events: Stream | RemoteStream, shown: list[str] | None = None) -> Reply:
    """Write pieces as they come, then fold them into the reply.

    ``shown`` collects the pieces, for a caller that wants them after an interruption.
    Whatever ends it, the generation is over and the screen is at the start of a line.
    """
    from aipc.generate import collect

    pieces: list[str] = [] if shown is None else shown
    try:
        with closing(events):
            return collect(_written(events, pieces))
    except KeyboardInterrupt:
        if not pieces:
            end_interrupted_line()
        raise
    finally:
        if pieces and not "".join(pieces).endswith("\n"):
            write_line()


def warn_if_cut(reply: Reply) -> None:
    if reply.finish_reason == "length":
        tokens = reply.usage.completion_tokens
        notice(f"[cut after {tokens} tokens; --max-new-tokens sets the limit]")


def as_json(reply: Reply, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What ``--json`` prints: the reply, then what answered and how."""
    return {**reply.as_dict(), **facts}


def _written(events: Iterable[Event], pieces: list[str]) -> Iterator[Event]:
    for event in events:
        if event.text:
            pieces.append(event.text)
            write(printable(event.text))
        yield event
