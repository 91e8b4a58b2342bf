"""A client that leaves takes its answer with it, streamed or not."""

from __future__ import annotations

import asyncio
import time

import httpx2
import pytest

from aipc.serve.http.connection import ClientLeft, while_connected

LONG = {"model": "fake", "messages": [{"role": "user", "content": "count 100000 every 0.01"}]}
SOON_S = 1.0


def running(server):
    return sum(status.running for status in server.pool.statuses())


def wait_until(condition, limit_s):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_whose_client_leaves_is_cancelled_within_a_second(server, path, stream):
    text = LONG["messages"][0]["content"]
    question = {
        "/v1/chat/completions": {"messages": LONG["messages"]},
        "/v1/completions": {"prompt": text, "max_tokens": 100_000},
        "/v1/responses": {"input": text},
    }[path]
    body = {"model": "fake", "stream": stream, **question}
    with server.client() as client:
        if stream:
            with client.stream("POST", path, json=body):
                wait_until(lambda: running(server) == 1, 5)
        else:
            with pytest.raises(httpx2.ReadTimeout):
                client.post(path, json=body, timeout=1)
    wait_until(lambda: running(server) == 0, SOON_S)


def test_of_several_answers_all_are_cancelled(server):
    with (
        server.client() as client,
        client.stream("POST", "/v1/chat/completions", json={**LONG, "n": 3, "stream": True}),
    ):
        wait_until(lambda: running(server) == 3, 5)
    wait_until(lambda: running(server) == 0, SOON_S)


def test_work_is_cancelled_when_nobody_waits_for_it():
    ended = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def receive():
        await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    with pytest.raises(ClientLeft):
        asyncio.run(while_connected(receive, work()))
    assert ended == [True]


def test_work_that_is_done_or_fails_is_so_at_once():
    async def receive():
        await asyncio.sleep(60)

    async def good():
        return 1

    async def bad():
        raise KeyError

    assert asyncio.run(while_connected(receive, good())) == 1
    with pytest.raises(KeyError):
        asyncio.run(while_connected(receive, bad()))
