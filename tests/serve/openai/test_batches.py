from __future__ import annotations

import json
import threading
from typing import get_args

import openai
import pytest
from batches_of import (
    CHAT,
    client_of,
    content_of,
    create,
    line,
    lines_of,
    until,
    until_ended,
    upload,
)

from aipc.wire.openai.batches_schemas import BatchUrl
from aipc.wire.openai.urls import URLS


@pytest.fixture
def api(server):
    with client_of(server.url) as client:
        yield client


def test_every_path_that_asks_a_model_may_be_a_batchs():
    assert set(get_args(BatchUrl)) == set(URLS)


def test_openais_client_uploads_creates_polls_and_downloads(api):
    lines = [line(f"id-{n}", f"answer {n}") for n in range(50)]
    made = create(api, *lines, metadata={"team": "scoring"})
    assert (made.object, made.status) == ("batch", "validating")
    assert made.expires_at == made.created_at + 24 * 3600
    done = until_ended(api, made)
    assert (done.status, done.errors, done.error_file_id) == ("completed", None, None)
    assert done.in_progress_at <= done.finalizing_at <= done.completed_at
    assert (done.model, done.metadata) == ("fake", {"team": "scoring"})
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (50, 50, 0)
    assert (done.usage.input_tokens, done.usage.output_tokens) == (100, 100)
    assert done.usage.total_tokens == 200
    answers = lines_of(api, done.output_file_id)
    assert [one["custom_id"] for one in answers] == [one["custom_id"] for one in lines]
    for number, answer in enumerate(answers):
        assert answer["error"] is None
        assert answer["response"]["status_code"] == 200
        assert content_of(answer) == f"answer {number} "
    output = api.files.retrieve(done.output_file_id)
    assert (output.purpose, output.filename) == ("batch_output", f"{done.id}_output.jsonl")
    assert done in list(api.batches.list(limit=1))


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/v1/completions", {"prompt": "one two"}),
        ("/v1/responses", {"input": "one two"}),
    ],
)
def test_other_paths(api, url, body):
    asked = {"custom_id": "a", "method": "POST", "url": url, "body": {"model": "fake", **body}}
    done = until_ended(api, create(api, asked, endpoint=url))
    assert done.status == "completed"
    assert "one two" in json.dumps(lines_of(api, done.output_file_id))
    assert (done.usage.input_tokens, done.usage.output_tokens) == (2, 2)


def test_what_fails_is_in_a_file_of_its_own(api):
    done = until_ended(api, create(api, line("good"), line("bad", "refuse"), line("worse", "fail")))
    assert done.status == "completed"
    assert (done.request_counts.completed, done.request_counts.failed) == (1, 2)
    assert [one["custom_id"] for one in lines_of(api, done.output_file_id)] == ["good"]
    bad, worse = lines_of(api, done.error_file_id)
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("bad", 400)
    assert "the fake refuses" in bad["response"]["body"]["error"]["message"]
    assert (worse["custom_id"], worse["response"]["status_code"]) == ("worse", 500)


def test_where_all_fail_there_is_no_output(api):
    done = until_ended(api, create(api, line("bad", "refuse")))
    assert (done.status, done.output_file_id) == ("completed", None)
    assert len(lines_of(api, done.error_file_id)) == 1


def faults_of(api, *lines, endpoint=CHAT):
    done = until_ended(api, create(api, *lines, endpoint=endpoint))
    assert (done.status, done.output_file_id, done.error_file_id) == ("failed", None, None)
    assert done.failed_at is not None
    return [(fault.line, fault.code, fault.param) for fault in done.errors.data]


def test_all_that_is_wrong_is_told_before_the_first_token(server, api):
    before = sum(one.answers for one in server.pool.statuses())
    lines = [
        line("a"),
        line("a"),
        {"custom_id": "b", "method": "GET", "url": CHAT, "body": {}},
        line("c", url="/v1/nothing"),
        line("d", temperature=99),
        line("e", url="/v1/completions", prompt="x", messages=None),
        line("f", model="another"),
        [1],
    ]
    assert faults_of(api, *lines) == [
        (2, "invalid_request", None),
        (3, "invalid_request", None),
        (4, "invalid_request", "url"),
        (5, "invalid_request", "temperature"),
        (6, "invalid_url", "url"),
        (7, "mismatched_model", "model"),
        (8, "invalid_request", None),
    ]
    assert sum(one.answers for one in server.pool.statuses()) == before


def test_an_unknown_model_an_empty_file_and_too_many_lines_fail(api):
    assert faults_of(api, line("a", model="nobody")) == [(None, "model_not_found", "model")]
    assert faults_of(api) == [(None, "empty_file", None)]
    short = [{"x": n} for n in range(50_001)]
    assert faults_of(api, *short) == [(None, "too_many_requests", None)]


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"input_file_id": "file-" + "0" * 24}, "input_file_id"),
        ({"input_file_id": "../../etc/passwd"}, "input_file_id"),
        ({"endpoint": "/v1/moderations"}, "endpoint"),
        ({"completion_window": "1y"}, "completion_window"),
        ({"completion_window": "0h"}, "completion_window"),
        ({"metadata": {"k": "v" * 600}}, "metadata.k"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, None),
    ],
)
def test_a_batch_that_can_not_be_meant_is_refused(api, client, changed, param):
    body = {"endpoint": CHAT, "completion_window": "24h", **changed}
    body.setdefault("input_file_id", upload(api, line("a")))
    reply = client.post("/v1/batches", json=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == (param or "output_expires_after.seconds")


def test_results_are_no_input(api, client):
    done = until_ended(api, create(api, line("a")))
    body = {"endpoint": CHAT, "completion_window": "24h", "input_file_id": done.output_file_id}
    assert client.post("/v1/batches", json=body).status_code == 400


def test_the_input_may_be_deleted_and_results_expire(api):
    made = create(
        api,
        *(line(f"id-{n}", "count 5 every 0.05") for n in range(3)),
        output_expires_after={"anchor": "created_at", "seconds": 3600},
    )
    api.files.delete(made.input_file_id)
    done = until_ended(api, made)
    assert done.request_counts.completed == 3
    output = api.files.retrieve(done.output_file_id)
    assert output.expires_at == output.created_at + 3600


def test_cancelling_keeps_what_was_answered(api):
    made = create(api, line("short"), *(line(f"l{n}", "count 9999 every 0.05") for n in range(3)))
    until(lambda: api.batches.retrieve(made.id).request_counts.completed == 1)
    assert api.batches.cancel(made.id).status in {"cancelling", "cancelled"}
    done = until_ended(api, made)
    assert done.status == "cancelled"
    assert done.cancelling_at <= done.cancelled_at
    assert [one["custom_id"] for one in lines_of(api, done.output_file_id)] == ["short"]
    assert (done.request_counts.total, done.request_counts.completed) == (4, 1)
    with pytest.raises(openai.ConflictError, match="nothing to cancel"):
        api.batches.cancel(made.id)


def test_an_unknown_batch_is_not_here(client):
    for batch_id in ("batch_0", "batch_" + "0" * 24, "..%2F..%2Fx"):
        assert client.get(f"/v1/batches/{batch_id}").status_code == 404
        assert client.post(f"/v1/batches/{batch_id}/cancel", json={}).status_code == 404
    assert client.get("/v1/batches?after=batch_0").status_code == 400
    assert client.get("/v1/batches?limit=0").status_code == 400


def test_one_batch_at_a_time_in_the_order_of_creation(serve_fakes):
    server = serve_fakes("serial")
    with client_of(server.url) as api:
        lines = [line(f"id-{n}", "count 3 every 0.05", model="serial") for n in range(3)]
        made = [create(api, *lines) for _ in range(3)]
        done = [until_ended(api, one) for one in made]
        ends = []
        for one in done:
            for answer in lines_of(api, one.output_file_id):
                assert answer["response"]["status_code"] == 200
            ends.append(one.completed_at)
    assert ends == sorted(ends)


def chat(client, text, model):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    reply = client.post(CHAT, json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()["choices"][0]["message"]["content"]


def test_an_interactive_request_is_answered_beside_a_batch_and_the_batch_ends_whole(serve_fakes):
    server = serve_fakes("serial")
    with server.client() as client, client_of(server.url) as api:
        lines = [line(f"id-{n}", "count 20 every 0.05", model="serial") for n in range(3)]
        made = create(api, *lines)
        until(lambda: sum(one.background for one in server.pool.statuses()) == 1)
        assert chat(client, "hello", "serial") == "hello "
        assert api.batches.retrieve(made.id).status == "in_progress"
        metrics = client.get("/metrics").text
        assert 'aipc_background{device="auto",model="serial"}' in metrics
        done = until_ended(api, made)
        assert (done.status, done.request_counts.completed) == ("completed", 3)
        answers = lines_of(api, done.output_file_id)
        assert sorted(one["custom_id"] for one in answers) == ["id-0", "id-1", "id-2"]


def test_stopping_does_not_wait_for_a_batch(serve_fakes):
    server = serve_fakes("serial", drain_s=300.0)
    with client_of(server.url) as api:
        create(api, line("long", "count 99999 every 0.05", model="serial"))
        until(lambda: sum(one.background for one in server.pool.statuses()) == 1)
    server.stop()  # which waits for a minute at most
    assert not any("waiting for the answers" in notice for notice in server.notices)


def test_with_a_key_only_who_shows_it_sees_them(serve_fakes):
    key = "a-key-that-nobody-guesses"
    server = serve_fakes(api_key=key)
    with client_of(server.url, key) as api:
        made = create(api, line("a"))
        until_ended(api, made)
    with server.client() as client:
        assert client.get(f"/v1/batches/{made.id}").status_code == 401


def test_many_clients_at_once_each_get_their_own(api):
    outcomes = []

    def one(number):
        done = until_ended(api, create(api, line("a", f"mine is {number}")))
        (answer,) = lines_of(api, done.output_file_id)
        outcomes.append(content_of(answer) == f"mine is {number} ")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True] * 8
