"""Clients of a server that stream from it, many at once."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

TIMEOUT_S = 120
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it tells of every request


@dataclass(frozen=True)
class Heard:
    """A streamed answer as its client saw it."""

    text: str
    tokens: int | None
    """As the server counted them; None where it came to no end."""
    error: str | None
    """That of the response or of the stream's last event."""


@asynccontextmanager
async def connected(url: str):
    """A client with as many connections as are wanted."""
    limits = httpx2.Limits(max_connections=None)
    options = {"base_url": url, "limits": limits, "timeout": TIMEOUT_S, "trust_env": False}
    async with httpx2.AsyncClient(**options) as client:
        yield client


def chat_body(model: str, question: str, tokens: int, **more) -> dict:
    return {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": tokens,
        **more,
    }


async def hear(client: httpx2.AsyncClient, body: dict) -> Heard:
    """Ask with a stream, to its end."""
    body = {**body, "stream": True, "stream_options": {"include_usage": True}}
    text, tokens, error, is_done = "", None, None, False
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.status_code != 200:
            await response.aread()
            return Heard("", None, f"{response.status_code} {response.json()['error']['code']}")
        async for line in response.aiter_lines():
            if line == "data: [DONE]":
                is_done = True
            elif line.startswith("data: "):
                chunk = json.loads(line[6:])
                error = chunk.get("error", {}).get("code", error)
                for choice in chunk.get("choices", ()):
                    text += choice["delta"].get("content") or ""
                tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
    if error is None and not is_done:
        error = "the stream has no end"
    return Heard(text, tokens, error)


async def all_for(seconds: float, clients: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Have every client do what it does again and again."""
    end = time.monotonic() + seconds

    async def repeat(once: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < end:
            await once()

    await asyncio.gather(*(repeat(once) for once in clients))


async def running(client: httpx2.AsyncClient) -> int:
    """Answers under way, as the server's metrics have it."""
    metrics = (await client.get("/metrics")).text
    return sum(map(int, re.findall(r"^aipc_running\{.*\} (\d+)", metrics, re.MULTILINE)))


async def until(condition: Callable[[], Awaitable[bool]], limit_s: float = 60) -> float:
    """Seconds until it holds."""
    started = time.monotonic()
    while not await condition():
        assert time.monotonic() - started < limit_s, "it does not come about"
        await asyncio.sleep(0.02)
    return time.monotonic() - started
