"""A client that leaves takes its answer with it, streamed or not."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time

import httpx2
import pytest

from aipc.serve.http.client_connection import ResponseTransport
from aipc.serve.http.connection import HEARTBEAT, ClientLeft, while_connected

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


@pytest.fixture
def _quick_beats(monkeypatch):
    monkeypatch.setattr("aipc.serve.http.connection.HEARTBEAT_S", 0.3)


STREAMS = {
    "/v1/chat/completions": ({"messages": [{"role": "user", "content": "{}"}]}, "data: [DONE]"),
    "/v1/completions": ({"prompt": "{}", "max_tokens": 9}, "data: [DONE]"),
    "/v1/responses": ({"input": "{}"}, "event: response.completed"),
    "/v1/messages": (
        {"messages": [{"role": "user", "content": "{}"}], "max_tokens": 9},
        "event: message_stop",
    ),
}


def body_of(path, text):
    question = json.dumps(STREAMS[path][0]).replace("{}", text)
    return {"model": "fake", "stream": True, **json.loads(question)}


@pytest.mark.usefixtures("_quick_beats")
@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_shows_that_it_lives_before_the_first_token_and_between(client, path):
    lines = client.post(path, json=body_of(path, "count 2 every 1")).text.splitlines()
    beats = [
        at for at, line in enumerate(lines) if line in {HEARTBEAT.decode()[:-2], "event: ping"}
    ]
    datas = [at for at, line in enumerate(lines) if "delta" in line or '"text":"0 "' in line]
    assert beats[0] < datas[0] < beats[-1]
    assert STREAMS[path][1] in lines


@pytest.mark.usefixtures("_quick_beats")
def test_lines_of_json_have_none(client):
    body = {"model": "fake", "prompt": "count 1 every 1"}
    lines = client.post("/api/generate", json=body).text.splitlines()
    assert [json.loads(line)["done"] for line in lines] == [False, True]


@pytest.mark.usefixtures("_quick_beats")
def test_an_error_after_a_heartbeat_is_the_last_frame_and_one_before_has_a_status(client):
    late = client.post("/v1/completions", json=body_of("/v1/completions", "refuse after 1"))
    assert late.status_code == 200
    assert late.text.startswith(HEARTBEAT.decode())
    assert json.loads(late.text.split("data: ")[-1])["error"]["code"] == "invalid_value"
    early = client.post("/v1/completions", json=body_of("/v1/completions", "refuse"))
    assert early.status_code == 400


def raw_request(server, path, body, version="1.1"):
    """As bytes."""
    text = json.dumps(body)
    return (
        f"POST {path} HTTP/{version}\r\nHost: {server.binding.host}:{server.binding.port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}"
    ).encode()


def until_end(stream):
    pieces = []
    while piece := stream.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("every", ["0.01", "0.2"])
def test_a_client_that_sends_no_more_and_listens_gets_its_answer(server, stream, version, every):
    body = {**body_of("/v1/completions", f"count 5 every {every}"), "stream": stream}
    with socket.create_connection(("127.0.0.1", server.binding.port), timeout=30) as connection:
        connection.sendall(raw_request(server, "/v1/completions", body, version))
        connection.shutdown(socket.SHUT_WR)
        answer = until_end(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"4 " in answer


@pytest.mark.parametrize("wait_s", [0.0, 0.7])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.usefixtures("_quick_beats")
def test_a_client_that_closes_both_halves_has_left(server, stream, wait_s):
    body = {**body_of("/v1/chat/completions", "count 9 every 60"), "stream": stream}
    with socket.create_connection(("127.0.0.1", server.binding.port)) as connection:
        connection.sendall(raw_request(server, "/v1/chat/completions", body))
        wait_until(lambda: running(server) == 1, 5)
        time.sleep(wait_s)  # then a stream has begun, by a heartbeat
        while stream and wait_s and HEARTBEAT not in connection.recv(65536):
            pass
    wait_until(lambda: running(server) == 0, SOON_S)


def test_a_connection_goes_on_after_an_answer(server):
    body = {**body_of("/v1/completions", "count 2"), "stream": False}
    with socket.create_connection(("127.0.0.1", server.binding.port), timeout=30) as connection:
        for _ in range(3):
            connection.sendall(raw_request(server, "/v1/completions", body))
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert json.loads(answer.read())["choices"][0]["text"] == "0 1 "


def test_a_response_is_whole_after_bytes_that_look_for_the_client(server):
    """Some come before the head, some before a chunk, some before the last."""
    body = {**body_of("/v1/chat/completions", "count 3 every 0.3"), "stream": True}
    with socket.create_connection(("127.0.0.1", server.binding.port), timeout=30) as connection:
        connection.sendall(raw_request(server, "/v1/chat/completions", body))
        connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        lines = answer.read().decode().splitlines()
    assert lines[-2] == "data: [DONE]"
    assert sum('"content":"' in line for line in lines) == 4


class SentBytes(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.sent = []

    def write(self, data):
        self.sent.append(bytes(data))

    def is_closing(self):
        return False

    def close(self):
        self.sent.append(b"closed")


def sent(*steps):
    """What goes out where ``steps`` are bytes to write, True to probe a begun response, or None."""

    async def call():
        inner = SentBytes()
        outer = ResponseTransport(inner, asyncio.get_running_loop())
        for step in steps:
            if step is None:
                await asyncio.sleep(0)
            elif isinstance(step, bool):
                outer.probe(has_begun=step)
            else:
                outer.write(step)
        outer.close()
        return inner.sent

    return asyncio.run(call())


def test_what_is_written_in_one_turn_is_sent_once():
    steps = (b"HTTP/1.1 200 OK", b" and more", None, b"last")
    assert sent(*steps) == [b"HTTP/1.1 200 OK and more", b"last", b"closed"]


def test_bytes_that_look_for_the_client_are_none_too_many():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"3\r\nabc\r\n"
    found = b"".join(sent(*[False] * 12, head, None, *[True] * 12, chunk, None, True, chunk))
    assert found == head + b"0" * 8 + chunk + b"0" + chunk + b"closed"
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    assert b"".join(sent(False, whole, None, True, b"abc", True, b"def")) == whole + b"abcdefclosed"
