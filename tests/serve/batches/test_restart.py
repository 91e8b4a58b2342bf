"""The server is killed while it works on batches."""

from __future__ import annotations

import random
import time
from contextlib import suppress

import openai
import pytest
from batches_of import client_of, content_of, create, line, lines_of, until, until_ended
from fake_server import served_fakes

LINES = 60


def killed_and_ended(home, kills):
    """What came of a batch through so many kills of its server."""
    chance = random.Random(kills)
    made = None
    for _ in range(kills):
        with served_fakes(home, "fake") as (process, url), client_of(url) as api:
            if made is None:
                lines = [line(f"id-{n}", f"count {n % 7} every 0.02") for n in range(LINES)]
                made = create(api, *lines)
            time.sleep(chance.uniform(0.0, 1.0))
            process.kill()
    with served_fakes(home, "fake") as (_, url), client_of(url) as api:
        done = until_ended(api, made)
        return done, lines_of(api, done.output_file_id)


def check(done, answers):
    assert (done.status, done.error_file_id) == ("completed", None)
    assert (done.request_counts.completed, done.request_counts.total) == (LINES, LINES)
    assert [one["custom_id"] for one in answers] == [f"id-{n}" for n in range(LINES)]
    for number, answer in enumerate(answers):
        assert content_of(answer) == "".join(f"{n} " for n in range(number % 7))


def test_no_request_is_lost_and_none_is_answered_twice(tmp_path):
    check(*killed_and_ended(tmp_path, 3))
    assert [path.name for path in tmp_path.glob("batches/*/*")] == ["record.json"]
    assert len([*tmp_path.glob("files/*.data")]) == 2


@pytest.mark.long
def test_through_twenty_kills(tmp_path):
    check(*killed_and_ended(tmp_path, 20))


def test_it_goes_on_from_what_it_had_and_cancels_what_was_to_be_cancelled(tmp_path):
    with served_fakes(tmp_path, "fake", "other") as (process, url), client_of(url) as api:
        lines = [line(f"id-{n}", "count 2 every 0.3") for n in range(2)]
        long = [line("never", "count 99999 every 0.1", model="other")]
        first = create(api, *(line(f"q{n}") for n in range(8)), *lines)
        second = create(api, *long)
        until(lambda: api.batches.retrieve(first.id).request_counts.completed >= 8)
        until(lambda: api.batches.retrieve(second.id).status == "in_progress")
        with suppress(openai.APIError):
            api.batches.cancel(second.id)
        process.kill()
    with served_fakes(tmp_path, "fake", "other") as (_, url), client_of(url) as api:
        assert until_ended(api, first).request_counts.completed == 10
        assert until_ended(api, second).status == "cancelled"
