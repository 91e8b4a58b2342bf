"""How a batch is run, as a user asks for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aipc.errors import UsageError
from aipc.options import check, option
from aipc.units import duration

_TIME_OF_DAY = re.compile(r"(\d{1,2}):(\d{2})")
_HOW = "write a time of day (06:30), how long (2h) or a date and time (2027-01-31T06:30)"


@dataclass(frozen=True)
class BatchOptions:
    exact: bool = option(False, "one answer at a time, with numerics that no other answer changes")
    in_flight: int | None = option(
        None, "lines under way at once; without it 128, with --exact 1", minimum=1
    )
    ordered: bool = option(False, "write the answers in the order of the input")
    skip_invalid: bool = option(
        False, "leave out lines that can't be asked, and write them as failures"
    )
    retry_failed: bool = option(False, "ask the lines again that failed the last time")
    max_tokens_total: int | None = option(
        None, "stop when this run has computed so many tokens, prompts included", minimum=1
    )
    until: str | None = option(None, "stop then: a time of day (06:30) or how long (2h)")
    prompt_column: str | None = option(
        None, "the input is a table of prompts (.jsonl, .csv, .parquet), in the column of this name"
    )
    id_column: str | None = option(
        None, "the column with each prompt's id", default_words="the row's number"
    )

    ends_at: datetime | None = field(init=False, default=None, compare=False)
    """What ``until`` means from when it was asked for; None: when all is done."""

    def __post_init__(self) -> None:
        check(self)
        if self.id_column is not None and self.prompt_column is None:
            raise UsageError("--id-column is for a table of prompts", "give --prompt-column too")
        if self.until is not None:
            object.__setattr__(self, "ends_at", end_of(self.until, datetime.now().astimezone()))


def end_of(until: str, start: datetime) -> datetime:
    """When that is, seen from ``start``.

    Raises:
        UsageError: no time, or one that has passed.
    """
    found = _TIME_OF_DAY.fullmatch(until)
    if found:
        return _next(start, int(found[1]), int(found[2]), until)
    try:
        if until[:1].isdigit() and until[-1:] in "smh":
            return start + timedelta(seconds=duration(until))
        end = datetime.fromisoformat(until).astimezone()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--until '{until}' is no time", _HOW) from error
    if end <= start:
        raise UsageError(f"--until '{until}' has passed", _HOW)
    return end


def _next(start: datetime, hour: int, minute: int, text: str) -> datetime:
    """The first such time of day after ``start``."""
    try:
        end = start.replace(hour=hour, minute=minute, second=0, microsecond=0)
    except ValueError as error:
        raise UsageError(f"--until '{text}' is no time of day", _HOW) from error
    return end if end > start else end + timedelta(days=1)
