"""Workers that stand still, a machine that sleeps, signals under load."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial

import crowd
import httpx2
import processes
import pytest
from raw_client import until
from served import EXACT, served

MODEL = "smollm2-135m"
ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
LONG = {**ASKED, "max_tokens": 3000, "stream": True, "temperature": 0}
STUCK_S = 10
pytestmark = [
    pytest.mark.faults,  # each takes as long as it waits, or as a server takes to start
    pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc"),
]


@pytest.fixture(scope="module")
def hasty(small_store, smollm_gguf):
    """A server that takes no answer for slow for long."""
    flags = ("-m", MODEL, "--device", "cpu", "--stuck-s", f"{STUCK_S}", *EXACT)
    with served(small_store, *flags) as server:
        server.wait_for("is ready on cpu")
        yield server


def ask(url: str) -> httpx2.Response:
    with httpx2.Client(base_url=url, timeout=60, trust_env=False) as client:
        return client.post("/v1/chat/completions", json=ASKED)


def is_idle(url: str) -> bool:
    with httpx2.Client(base_url=url, trust_env=False) as client:
        return "aipc_running" not in (text := client.get("/metrics").text) or bool(
            re.search(r"^aipc_running\{.*\} 0", text, re.MULTILINE)
        )


@pytest.mark.parametrize("times", [20])
def test_a_worker_that_stands_still_is_replaced(hasty, row, times):
    for _ in range(times):
        (worker,) = processes.children(hasty.process.pid)
        os.kill(worker, signal.SIGSTOP)
        row.count("stopped")
        error = ask(hasty.url).json().get("error", {})
        if error.get("code") not in {"no_progress", "worker_died"}:
            row.find(f"asked of one that stands still: {error}")
        until(lambda worker=worker: worker not in processes.children(hasty.process.pid), 60)
        assert ask(hasty.url).status_code == 200


@pytest.mark.parametrize(("times", "streams"), [(20, 8)])
def test_streams_go_on_after_all_was_suspended(hasty, row, times, streams):
    """For longer than an answer may take for a token; shorter, and again and again, meanwhile."""
    pid = hasty.process.pid
    body = crowd.chat_body(MODEL, "Count to a hundred.", 200)

    async def go(sleep_s):
        async with crowd.connected(hasty.url) as client:
            heard = [asyncio.ensure_future(crowd.hear(client, body)) for _ in range(streams)]
            await crowd.until(partial(is_answering, client))
            tree = [pid, *processes.descendants(pid)]
            for _ in range(3):
                suspend(tree, sleep_s)
            found = await asyncio.gather(*heard)
            return found, processes.descendants(pid) == tree[1:]

    async def is_answering(client):
        return await crowd.running(client) == streams

    async def ask_alone():
        async with crowd.connected(hasty.url) as client:
            return await crowd.hear(client, body)

    alone = asyncio.run(ask_alone())
    for draw in row.cases(times):
        sleep_s = draw.choice((0.1, 1.0, STUCK_S + 2))
        found, is_same_tree = asyncio.run(go(sleep_s))
        row.count("streams", len(found))
        for one in found:
            if one != alone:
                row.find(f"{sleep_s:g} s: {one} instead of {alone}")
        if not is_same_tree:
            row.find(f"{sleep_s:g} s: other processes than before")


def suspend(tree, seconds):
    """As a machine that sleeps, and wakes in another order."""
    for number, pids in ((signal.SIGSTOP, tree), (signal.SIGCONT, tree[::-1])):
        for each in pids:
            with suppress(ProcessLookupError):
                os.kill(each, number)
        time.sleep(seconds if number == signal.SIGSTOP else 0.2)


@pytest.mark.parametrize("times", [20])
def test_signals_under_load_end_everything_in_order(small_store, smollm_gguf, row, times):
    for at in range(times):
        number = (signal.SIGTERM, signal.SIGHUP)[at % 2]
        with served(small_store, "-m", MODEL, "--device", "cpu", "--drain-s", "2") as server:
            server.wait_for("is ready on cpu")
            workers = processes.children(server.process.pid)
            ends = []

            def listen(url=server.url, ends=ends) -> None:
                with httpx2.stream(
                    "POST", f"{url}/v1/chat/completions", json=LONG, timeout=60
                ) as got:
                    # one that came while the server was ending was refused, without a stream
                    ends.append([line for line in got.iter_lines() if line])

            clients = [threading.Thread(target=listen) for _ in range(4)]
            for one in clients:
                one.start()
            until(lambda url=server.url: not is_idle(url), 60)
            server.process.send_signal(number)
            status = server.process.wait(60)
            for one in clients:
                one.join(60)
            row.count(f"status {status}")
            if status or any(map(processes.is_there, workers)):
                row.find(f"{signal.Signals(number).name}: status {status}, or a process is left")
            for heard in ends:
                if not any("[DONE]" in line or "error" in line for line in heard[-1:]):
                    row.find(f"a stream without an end: {heard[-1:]}")
