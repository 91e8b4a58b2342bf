"""Clients that are slow, half there or no clients of HTTP: refused, and nobody waits for them."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import sys
import time
from contextlib import suppress

import pytest

from aipc.serve.http.client_limits import ClientLimits
from aipc.serve.http.connections import most_connections

BODY = {"model": "fake", "prompt": "count 2", "max_tokens": 100_000}
SHORT = ClientLimits(head_s=0.6, body_s=0.6, unread_s=1.0, max_connections=6)


@pytest.fixture(scope="module")
def hasty(serve_fakes):
    """A server that waits for nobody."""
    return serve_fakes(limits=SHORT)


@pytest.fixture
def connect(hasty):
    opened = []

    def make(sent=b""):
        connection = socket.create_connection(("127.0.0.1", hasty.binding.port), timeout=20)
        connection.sendall(sent)
        opened.append(connection)
        return connection

    yield make
    for connection in opened:
        connection.close()
    wait_until_answered(hasty)


def wait_until_answered(server):
    with server.client() as client:
        assert client.get("/health").status_code == 200


def head(server, length=None, path="/v1/completions"):
    host = f"{server.binding.host}:{server.binding.port}"
    length = len(json.dumps(BODY)) if length is None else length
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def answer_to(connection):
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer, answer.read()


def refusal(connection):
    status, answer, body = answer_to(connection)
    assert answer.headers["Connection"] == "close"
    error = json.loads(body)["error"]
    assert {"message", "type", "param", "code"} == set(error)
    return status, error["code"]


@pytest.mark.parametrize("sent", [b"POST /v1/comp", b"GET / HTTP/1.1\r\nHost: "])
def test_half_a_head_is_waited_for_a_while(connect, sent):
    started = time.monotonic()
    assert refusal(connect(sent)) == (408, "request_timeout")
    assert 0.4 < time.monotonic() - started < 5


def test_bytes_now_and_then_do_not_prolong_it(connect):
    connection, started = connect(b"GET / HTTP/1.1\r\n"), time.monotonic()
    connection.settimeout(0.1)
    answer = b""
    while not answer and time.monotonic() - started < 10:
        with suppress(TimeoutError):
            connection.sendall(b"X: 1\r\n")
            answer = connection.recv(65536)
    assert b" 408 " in answer
    assert time.monotonic() - started < 5


def test_one_that_says_nothing_is_let_go_without_a_word(connect):
    assert connect().recv(10) == b""


def test_half_a_body_is_waited_for_a_while(connect, hasty):
    assert refusal(connect(head(hasty) + b'{"model": ')) == (408, "request_timeout")


def test_a_body_that_comes_slowly_and_steadily_is_taken(connect, hasty):
    text = json.dumps({**BODY, "user": "x" * 3000}).encode()
    connection = connect(head(hasty, len(text)))
    for start in range(0, len(text), 400):  # 2,000 bytes a second, for longer than `body_s`
        connection.sendall(text[start : start + 400])
        time.sleep(0.2)
    assert answer_to(connection)[0] == 200


def test_a_connection_is_good_for_more_after_a_request_that_came_whole(connect, hasty):
    connection = connect()
    for _ in range(3):
        connection.sendall(head(hasty) + json.dumps(BODY).encode())
        assert answer_to(connection)[0] == 200
        time.sleep(0.8)  # longer than a head may take: nothing is under way


def test_the_rest_of_a_body_that_was_refused_is_not_waited_for_either(connect, hasty):
    connection = connect(head(hasty, path="/nowhere") + b"{")
    assert answer_to(connection)[0] == 404
    assert connection.recv(65536) == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # the beginning of TLS
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000, 431),
        (b"GET /" + b"a" * 100_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n", 400),
    ],
)
def test_what_is_no_http_is_refused_in_openai_s_form(connect, sent, status):
    assert refusal(connect(sent)) == (status, "invalid_http")


def test_a_broken_chunk_of_a_body_is_refused_so_too(connect, hasty):
    chunked = head(hasty, 35).replace(b"Content-Length: 35", b"Transfer-Encoding: chunked")
    assert refusal(connect(chunked + b"zz\r\n")) == (400, "invalid_http")


def test_a_body_of_two_lengths_is_refused_and_nothing_hides_behind_it(connect, hasty):
    twice = head(hasty, 5).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection = connect(twice + b"0\r\n\r\n" + head(hasty) + json.dumps(BODY).encode())
    assert refusal(connection) == (400, "invalid_http")
    assert connection.recv(65536) == b""


def test_who_leaves_before_the_body_came_has_left(connect, hasty, caplog):
    with caplog.at_level(logging.INFO, "aipc.serve"):
        connect(head(hasty) + b"{").close()
        until(lambda: " 499, " in caplog.text)
    assert "internal error" not in caplog.text
    assert " 500, " not in caplog.text


def test_an_answer_that_nobody_reads_is_ended(hasty):
    more = {"prompt": "count 100000 every 0.001", "stream": True, "logprobs": 20}
    text = json.dumps({**BODY, **more})
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # it is soon full
        connection.connect(("127.0.0.1", hasty.binding.port))
        connection.sendall(head(hasty, len(text)) + text.encode())
        until(lambda: running(hasty) == 1)
        until(lambda: running(hasty) == 0, 30)


def test_more_connections_than_there_may_be_take_the_place_of_idle_ones(connect, hasty, caplog):
    with caplog.at_level(logging.WARNING, "aipc.serve"):
        first = connect()
        rest = [connect() for _ in range(20)]
        assert first.recv(10) == b""
        rest[-1].sendall(head(hasty) + json.dumps(BODY).encode())
        assert answer_to(rest[-1])[0] == 200
    assert caplog.text.count("--max-connections") <= 1


def test_where_all_are_busy_the_next_is_told(connect, hasty):
    body = json.dumps({**BODY, "prompt": "count 60 every 0.05", "stream": True}).encode()
    busy = [connect(head(hasty, len(body)) + body) for _ in range(SHORT.max_connections)]
    until(lambda: running(hasty) == len(busy))
    assert refusal(connect()) == (503, "too_many_connections")
    for one in busy:
        assert b"59 " in answer_to(one)[2]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_descriptors_are_asked_for_and_some_are_reserved():
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, before[1]))
        assert most_connections(500) == 500
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 500
        assert most_connections(10**12) < 10**12
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def running(server):
    return sum(status.running for status in server.pool.statuses())


def until(condition, limit_s=10):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
