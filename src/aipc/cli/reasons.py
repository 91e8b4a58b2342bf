"""What a session was made of, and why so, for ``--explain``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from aipc.cli.output import columns, notice


def show_reasons(facts: Mapping[str, Any]) -> None:
    """On stderr, before the answer; ``facts`` are a session's."""
    for line in _lines(facts):
        for folded in textwrap.wrap(
            line, columns(), subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
        ):
            notice(folded)
    notice("")


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    place = f"{facts.get('device')} ({facts.get('device_name')}) through {facts.get('runtime')}"
    yield f"{facts.get('model')}, {facts.get('weights') or 'as it was made'}, on {place}"
    for reason in facts.get("why", ()):
        yield f"- {reason}"
