"""What the answers of a batch come to: how many, and their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aipc.batch.answers import LineAnswer
from aipc.serve.batches.record import TokenSums


def count_lines(path: Path) -> int:
    """0 where there is no file."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(1 for _ in file)


def sum_tokens(path: Path) -> TokenSums:
    """Of a file of answers, as `LineAnswer` writes them."""
    sums = TokenSums()
    with path.open("rb") as file:
        for line in file:
            usage = (LineAnswer.from_line(line).body or {}).get("usage") or {}
            sums = _added(sums, usage)
    return sums


def _added(sums: TokenSums, usage: Mapping[str, Any]) -> TokenSums:
    """``usage`` is of any of the paths: the older ones say prompt and completion."""
    prompt, completion = (
        ("input", "output") if "input_tokens" in usage else ("prompt", "completion")
    )
    cached = usage.get(f"{prompt}_tokens_details") or {}
    thinking = usage.get(f"{completion}_tokens_details") or {}
    return replace(
        sums,
        prompt=sums.prompt + usage.get(f"{prompt}_tokens", 0),
        cached=sums.cached + (cached.get("cached_tokens") or 0),
        completion=sums.completion + usage.get(f"{completion}_tokens", 0),
        thinking=sums.thinking + (thinking.get("reasoning_tokens") or 0),
    )
