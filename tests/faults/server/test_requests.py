"""A server with the small real model, and everything that a network may send it.

Whatever comes is refused or bounded, and a normal request is answered within two seconds meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import crowd
import httpx2
import processes
import pytest
from raw_client import RawClient, until

MODEL, CHAT = "smollm2-135m", "/v1/chat/completions"
PROMPT_S = 2.0
"""In which a normal request is answered, whatever else is sent."""
ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
LONG = {**ASKED, "max_tokens": 3000, "stream": True, "temperature": 0}
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")
HOSTILE = "https://evil.example"
HUGE = 10**9

PAGES = (
    {"Origin": HOSTILE},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Host": "evil.example"},
    {"Host": "127.0.0.1"},
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Encoding": "gzip"},
)
"""Headers that a hostile page can have a browser send, instead of those of a normal request."""
METHODS = ("PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND", "GETT", "get")
NESTED_QUANTIFIERS = ("(a+)+$", "(a|a)*b", "(.*)*x", "((a{1,30}){1,30}){1,30}", "a{1,100000}")


CHUNKED = "Transfer-Encoding: chunked"
TWO_ENDS = {
    "both lengths": (("Content-Length: 5", CHUNKED), b"0\r\n\r\n"),
    "two lengths": (("Content-Length: 0", "Content-Length: 44"), b""),
    "a signed length": (("Content-Length: +0",), b""),
    "a list of lengths": (("Content-Length: 0, 44",), b""),
    "chunked twice": ((CHUNKED, CHUNKED), b"0\r\n\r\n"),
    "nearly chunked": (("Transfer-Encoding: xchunked",), b"0\r\n\r\n"),
    "a space before the colon": (("Content-Length : 0",), b""),
    "a wrong chunk": ((CHUNKED,), b"-1\r\n\r\n"),
    "a huge chunk": ((CHUNKED,), b"ffffffffffffffff\r\n\r\n"),
}
"""Headers and bodies of requests whose end two readers may see at different places."""


def smuggled(client: RawClient) -> dict[str, bytes]:
    """Those of `TWO_ENDS`, and one more, each with a request hidden behind it."""
    hidden = client.head("GET", "/metrics") + b"\r\n"

    def whole(headers: tuple[str, ...], body: bytes) -> bytes:
        lines = ("Content-Type: application/json", *headers)
        return client.head("POST", "/v1/completions", *lines) + b"\r\n" + body + hidden

    return {
        **{name: whole(*one) for name, one in TWO_ENDS.items()},
        "a bare carriage return": b"POST /v1/completions HTTP/1.1\rHost: x\r\r" + hidden,
    }


def ask(url: str, timeout_s: float = PROMPT_S, **more) -> httpx2.Response:
    with httpx2.Client(base_url=url, timeout=timeout_s, trust_env=False) as client:
        return client.post("/v1/chat/completions", json={**ASKED, **more})


@contextmanager
def normal_requests(url: str, row) -> Iterator[None]:
    """One after another meanwhile, each of which is answered in time."""
    is_over = threading.Event()

    def go() -> None:
        while not is_over.wait(0.2):
            started = time.monotonic()
            try:
                status = ask(url, 30).status_code
            except httpx2.HTTPError as error:
                status = type(error).__name__
            took_s = time.monotonic() - started
            row.count("normal requests")
            if status != 200 or took_s > PROMPT_S:
                row.find(f"a normal request: {status} after {took_s:.1f} s")

    asking = threading.Thread(target=go)
    asking.start()
    try:
        yield
    finally:
        is_over.set()
        asking.join()


def paths(url: str) -> list[tuple[str, str]]:
    """Every method and path of the server."""
    with httpx2.Client(base_url=url, trust_env=False) as client:
        listed = client.get("/openapi.json").json()["paths"]
    return [
        (method.upper(), re.sub(r"\{\w+\}", "x", path))
        for path, methods in listed.items()
        for method in methods
    ]


def test_hostile_pages_hosts_and_kinds_of_content_get_nothing_on_any_path(running, row):
    with httpx2.Client(base_url=running.url, timeout=20, trust_env=False) as client:
        for method, path in paths(running.url):
            for headers in PAGES:
                is_content = any(name.startswith("Content") for name in headers)
                if is_content and method not in {"POST", "DELETE"}:
                    continue
                sent = {"Content-Type": "application/json", **headers}
                status = client.request(method, path, headers=sent, content=b"{}").status_code
                row.count(f"{status}")
                if status not in {403, 413, 415, 421}:
                    row.find(f"{method} {path} with {headers}: {status}")
        for method in METHODS:
            status = client.request(method, "/v1/chat/completions", json=ASKED).status_code
            row.count(f"{status}")
            if status < 400:
                row.find(f"{method}: {status}")


def test_no_request_hides_behind_another(running, client, row):
    for name, sent in smuggled(client).items():
        statuses = client.answers(sent)
        row.count("requests")
        if 200 in statuses or len(statuses) > 1:
            row.find(f"{name}: {statuses}")


@LINUX
def test_bodies_and_heads_without_end_are_refused_and_take_no_memory(running, client, row):
    before = processes.resident_bytes(running.process.pid)
    with normal_requests(running.url, row):
        for path in ("/v1/chat/completions", "/v1/messages", "/api/chat", "/v1/files", "/nowhere"):
            stated = client.head("POST", path, "Content-Type: application/json")
            for kind, sent in {
                "stated": stated + f"Content-Length: {HUGE}\r\n\r\n".encode(),
                "chunked": stated
                + b"Transfer-Encoding: chunked\r\n\r\n"
                + 200 * (b"10000\r\n" + b" " * 65536 + b"\r\n"),
            }.items():
                status = client.status(sent)
                row.count(f"{status}")
                if not 400 <= status < 500 and status:
                    row.find(f"a huge body, {kind}, to {path}: {status}")
        for name, sent in {
            "one header": client.head("GET", "/health", "X: " + "a" * 10**6),
            "many headers": client.head("GET", "/health", *["X: y"] * 10**5),
            "a path": client.head("GET", "/" + "a" * 10**6),
        }.items():
            status = client.status(sent + b"\r\n")
            row.count(f"{status}")
            if status not in {0, 400, 431}:
                row.find(f"{name}: {status}")
    grown = processes.resident_bytes(running.process.pid) - before
    row.count("bytes more", grown)
    assert grown < 100e6


@pytest.mark.parametrize(
    "number", [300, pytest.param(10_000, marks=pytest.mark.faults)], ids=["some", "ten thousand"]
)
def test_slow_clients_and_many_connections_keep_nobody_out(running, client, row, number):
    half = client.head("POST", "/v1/chat/completions")
    with normal_requests(running.url, row):
        for at in range(number):
            client.connect(half if at % 2 else b"", timeout_s=5)
            row.count("connections")
            if at % 900 == 899:  # as many as this test may have itself
                client.close()
        time.sleep(4)  # by then their time is over
    client.close()


BOMBS = {
    CHAT: lambda schema: {
        **ASKED,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    },
    "/v1/responses": lambda schema: {
        "model": MODEL,
        "input": "Hi",
        "max_output_tokens": 16,
        "text": {"format": {"type": "json_schema", "name": "x", "schema": schema}},
    },
    "/v1/messages": lambda schema: {
        **ASKED,
        "tools": [{"name": "x", "input_schema": {"type": "object", "properties": {"a": schema}}}],
        "tool_choice": {"type": "tool", "name": "x"},
    },
    "/api/chat": lambda schema: {
        **ASKED,
        "stream": False,
        "format": schema,
        "options": {"num_predict": 1},
    },
    "/api/generate": lambda schema: {
        "model": MODEL,
        "prompt": "Hi",
        "stream": False,
        "format": schema,
        "options": {"num_predict": 1},
    },
}


def bombs() -> Iterator[tuple[str, dict]]:
    for pattern in NESTED_QUANTIFIERS:
        yield pattern, {"type": "string", "pattern": pattern}
    deep: dict = {"type": "string"}
    for _ in range(12):
        deep = {"anyOf": [deep, {"type": "array", "items": deep}]}
    yield "doubled 12 times", {"type": "string", "maxLength": 10**9}
    references = {f"d{at}": {"anyOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(40)} | {
        "d40": {"type": "null"}
    }
    yield "references", {"$ref": "#/$defs/d0", "$defs": references}
    yield "itself", {"$ref": "#"}
    yield "wide", {"enum": [f"{at:08d}" for at in range(50_000)]}


@pytest.mark.parametrize(
    "most", [1, pytest.param(99, marks=pytest.mark.faults)], ids=["one", "all"]
)
def test_bombs_of_schemas_and_expressions_are_refused_or_bounded(running, row, most):
    """Every one over OpenAI's chat, and so many over each other route that takes a schema."""
    limit_s = 20
    with httpx2.Client(base_url=running.url, timeout=60, trust_env=False) as client:
        for path, body_of in BOMBS.items():
            for name, schema in islice(bombs(), 99 if path == CHAT else most):
                started = time.monotonic()
                try:
                    status = client.post(path, json=body_of(schema)).status_code
                except httpx2.ReadTimeout:
                    status = 0
                took_s = time.monotonic() - started
                row.count(f"{status}")
                if not 200 <= status < 500 or took_s > limit_s:
                    row.find(f"{name} to {path}: {status} after {took_s:.0f} s")
    assert ask(running.url).status_code == 200


@LINUX
@pytest.mark.parametrize(
    "number", [20, pytest.param(500, marks=pytest.mark.faults)], ids=["some", "500"]
)
def test_who_leaves_is_let_go_within_a_second_and_nothing_is_left_of_it(running, row, number):
    pid = running.process.pid

    def descriptors() -> int:
        return len([*Path(f"/proc/{pid}/fd").iterdir()])

    async def leave(client) -> None:
        async with client.stream("POST", "/v1/chat/completions", json=LONG) as response:
            await anext(response.aiter_lines())
        row.count("disconnects")

    async def go() -> float:
        async with crowd.connected(running.url) as client:
            for _ in range(number // 10):
                await asyncio.gather(*(leave(client) for _ in range(10)))

            async def is_idle() -> bool:
                return await crowd.running(client) == 0

            return await crowd.until(is_idle, 20)

    before = descriptors(), set(processes.children(pid))
    assert asyncio.run(go()) < 1.5  # a second, and the figures' own time
    until(lambda: descriptors() <= before[0] + 1)
    assert set(processes.children(pid)) == before[1]


@pytest.mark.faults
@LINUX
def test_many_streams_give_each_its_own_text_and_hold_no_memory(running, row):
    """64 at once, compared with what one user alone was answered."""
    words = ("sea", "moon", "city", "king", "river", "forest", "winter", "train")
    questions = [f"Tell me about the {word}, in {n} words." for word in words for n in range(2, 10)]
    bodies = [crowd.chat_body(MODEL, text, 8 + at % 9) for at, text in enumerate(questions)]
    random.Random(row.seed).shuffle(bodies)
    sizes: list[int] = []

    async def go() -> None:
        async with crowd.connected(running.url) as client:
            alone = [await crowd.hear(client, body) for body in bodies]
            while not row.is_over or len(sizes) < 4:
                heard = await asyncio.gather(*(crowd.hear(client, body) for body in bodies))
                for one, expected in zip(heard, alone, strict=True):
                    row.count("answers")
                    if one != expected:
                        row.find(f"{one} instead of {expected}")
                workers = processes.children(running.process.pid)
                sizes.append(sum(map(processes.resident_bytes, (running.process.pid, *workers))))

    asyncio.run(go())
    settled = max(sizes[: len(sizes) // 2])
    row.count("bytes settled", settled)
    row.count("bytes at the end", sizes[-1])
    assert sizes[-1] < 1.03 * settled, json.dumps(sizes)
