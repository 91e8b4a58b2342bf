from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from aipc.batch.options import BatchOptions, end_of
from aipc.cli.arguments.option_flags import given
from aipc.errors import UsageError

NOON = datetime(2026, 11, 29, 12, 0, 30).astimezone()


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("2h", NOON + timedelta(hours=2)),
        ("90s", NOON + timedelta(seconds=90)),
        ("18:30", NOON.replace(hour=18, minute=30, second=0)),
        ("06:30", NOON.replace(hour=6, minute=30, second=0) + timedelta(days=1)),
        ("6:05", NOON.replace(hour=6, minute=5, second=0) + timedelta(days=1)),
        ("12:00", NOON.replace(second=0) + timedelta(days=1)),
        ("2099-01-31T06:30", datetime(2099, 1, 31, 6, 30).astimezone()),
        ("2099-01-31T06:30+02:00", datetime.fromisoformat("2099-01-31T06:30+02:00")),
    ],
)
def test_a_batch_ends_at_a_time_of_day_after_a_while_or_at_a_date(until, end):
    assert end_of(until, NOON) == end


def test_an_end_is_reckoned_from_when_it_was_asked_for():
    before = datetime.now().astimezone()
    options = BatchOptions(until="2h")
    after = datetime.now().astimezone()
    assert before + timedelta(hours=2) <= options.ends_at <= after + timedelta(hours=2)
    assert BatchOptions().ends_at is None
    assert given(BatchOptions, {"exact": True}, options).until == "2h"


@pytest.mark.parametrize(
    "until",
    ["", "soon", "25:00", "12:61", "2", "h", "-2h", "2000-01-01", "1e9h", "1e300h"],
)
def test_what_is_no_time_to_come_is_refused_before_anything_runs(until):
    with pytest.raises(UsageError, match=r"until|length of time"):
        BatchOptions(until=until)


def test_ids_are_a_column_of_a_table_of_prompts():
    with pytest.raises(UsageError, match="--prompt-column"):
        BatchOptions(id_column="id")
    with pytest.raises(UsageError, match="--max-tokens-total"):
        BatchOptions(max_tokens_total=0)
