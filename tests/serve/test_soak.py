"""Many clients for a while: nothing is lost, doubled, crossed, leaked or left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections import Counter

import crowd
import processes
import pytest
from served import served

import aipc

MODEL = "smollm2-135m"
EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
CLIENTS = 64
MINUTES = 2
SETTLED_S = 30
ROUNDS = 3  # and so many answers of each client: then every buffer and prefix has its place
GROWTH = 1.1  # the cache grows to the most that was ever held at once; a leak goes on
KILLS = 20
LEAVERS = 20  # at a time
TIMES = 10
CANCEL_S = 1.0
COUNTRIES = ("France", "Italy", "Spain", "Japan", "Peru", "Kenya", "India", "Norway")
QUESTIONS = [
    f"{question} {country}{end}"
    for country in COUNTRIES
    for question in ("What is the capital of", "Tell me a story about", "Who lives in", "Where is")
    for end in ("?", ", please, and say why.")
]

FIGURES = logging.getLogger(__name__)
"""Shown with --log-cli-level=INFO."""

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")


def test_each_of_many_clients_reads_its_own_answer(server):
    """Over fakes, and a third of the clients leave early."""
    answers = Counter()

    async def go():
        async with crowd.connected(server.url) as client:
            await crowd.all_for(4, [visitor(client, number) for number in range(32)])
            return await crowd.until(lambda: is_idle(client), 5)

    def visitor(client, number):
        words = " ".join(f"{number}-{at}" for at in range(number + 1))
        body = crowd.chat_body("fake", words, 1000)
        slow = crowd.chat_body("fake", "count 1000 every 0.01", 1000, stream=True)

        async def once():
            if number % 3 == 2:
                await leave_after_first_event(client, slow)
                return
            heard = await crowd.hear(client, body)
            assert heard == crowd.Heard(f"{words} ", number + 1, None)
            answers[number] += 1

        return once

    assert asyncio.run(go()) < CANCEL_S
    assert len(answers) == len([n for n in range(32) if n % 3 != 2])


@pytest.fixture(scope="module")
def pinned(small_store, smollm_gguf):
    """The small real model with exact numerics, so that a batch changes no token."""
    numerics = [flag for pair in EXACT.items() for flag in ("--ov-config", "=".join(pair))]
    with served(small_store, "-m", MODEL, "--device", "cpu", *numerics) as running:
        running.wait_for("is ready on cpu")
        yield running


@pytest.fixture(scope="module")
def alone(small_store, smollm_gguf):
    """What one user alone is answered, without a server: text and number of tokens."""
    with aipc.load(MODEL, device="cpu", store=small_store, properties=EXACT) as session:
        replies = [
            session.generate(question, temperature=0.0, max_new_tokens=length(number))
            for number, question in enumerate(QUESTIONS)
        ]
    return [(reply.text, reply.usage.completion_tokens) for reply in replies]


def length(number: int) -> int:
    return 12 + 3 * (number % 8)


@pytest.mark.long
@needs_proc
def test_two_minutes_of_many_streams_lose_nothing_and_hold_no_memory(pinned, alone):
    differing, heard_by = [], Counter()

    def reader(client, number):
        body = crowd.chat_body(MODEL, QUESTIONS[number], length(number))

        async def once():
            heard = await crowd.hear(client, body)
            assert heard.error is None
            heard_by[number] += 1
            if (heard.text, heard.tokens) != alone[number]:
                differing.append((number, heard, alone[number]))

        return once

    async def settled_memory():
        async def has_settled():
            return len(heard_by) == CLIENTS and min(heard_by.values()) >= ROUNDS

        await asyncio.sleep(SETTLED_S)
        await crowd.until(has_settled, 60 * MINUTES)
        return memory_of(pinned.process.pid)

    async def go():
        async with crowd.connected(pinned.url) as client:
            watching = asyncio.create_task(settled_memory())
            await crowd.all_for(60 * MINUTES, [reader(client, at) for at in range(CLIENTS)])
            return await watching, memory_of(pinned.process.pid)

    settled, end = asyncio.run(go())
    FIGURES.info("answers %d, of each client %d at least", heard_by.total(), min(heard_by.values()))
    FIGURES.info("server, worker, MB: %s settled, %s at the end", *map(megabytes, (settled, end)))
    assert len(heard_by) == CLIENTS
    assert not differing, differing[:3]
    assert all(after < GROWTH * before for before, after in zip(settled, end, strict=True))


@pytest.mark.long
def test_whoever_leaves_frees_its_place_within_a_second(pinned):
    async def go():
        async with crowd.connected(pinned.url) as client:
            return [await frees_after(client, stream=at % 2 == 0) for at in range(TIMES)]

    async def frees_after(client, *, stream):
        """Seconds from many clients' leaving at once to no answer being under way."""
        body = crowd.chat_body(MODEL, "Tell me a very long story.", 4000, stream=stream)
        leaving = [asyncio.create_task(ask(client, body)) for _ in range(LEAVERS)]
        await crowd.until(lambda: are_running(client, LEAVERS))
        for each in leaving:
            each.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        return await crowd.until(lambda: is_idle(client))

    async def ask(client, body):
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            await response.aread()

    took = asyncio.run(go())
    FIGURES.info("freed after %.2f s at most", max(took))
    assert max(took) < CANCEL_S


@pytest.mark.long
@needs_proc
def test_a_worker_that_is_killed_again_and_again_comes_back(small_store, smollm_gguf):
    outcomes, workers = Counter(), set()

    def asker(client, number):
        body = crowd.chat_body(MODEL, QUESTIONS[number], 16 + number)

        async def once():
            heard = await crowd.hear(client, body)
            outcomes[heard.error] += 1
            await asyncio.sleep(0.1 if heard.error else 0)

        return once

    async def killed_often(client, server):
        for _ in range(KILLS):
            await another_answer(outcomes[None])
            await crowd.until(lambda: are_running(client, 4))
            (worker,) = processes.children(server)
            workers.add(worker)
            os.kill(worker, signal.SIGKILL)
            await crowd.until(lambda: is_another(server, workers))

    async def another_answer(before):
        async def has_come():
            return outcomes[None] > before

        await crowd.until(has_come)

    async def go(running):
        async with crowd.connected(running.url) as client:
            askers = [asyncio.create_task(forever(asker(client, n))) for n in range(8)]
            await killed_often(client, running.process.pid)
            for each in askers:
                each.cancel()
            await asyncio.gather(*askers, return_exceptions=True)
            return await crowd.hear(client, crowd.chat_body(MODEL, QUESTIONS[0], 12))

    with served(small_store, "-m", MODEL, "--device", "cpu") as running:
        running.wait_for("is ready on cpu")
        assert asyncio.run(go(running)).error is None
        last = processes.children(running.process.pid)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
    FIGURES.info("answers by their errors: %s", dict(outcomes))
    assert set(outcomes) <= {None, "worker_died", "503 worker_died"}
    assert outcomes.total() - outcomes[None] >= KILLS
    assert not any(processes.is_there(pid) for pid in (*workers, *last))


async def forever(once) -> None:
    while True:
        await once()


async def leave_after_first_event(client, body) -> None:
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        await anext(response.aiter_lines())


async def is_idle(client) -> bool:
    return await crowd.running(client) == 0


async def are_running(client, number: int) -> bool:
    return await crowd.running(client) >= number


async def is_another(server: int, known: set[int]) -> bool:
    return bool(set(processes.children(server)) - known)


def memory_of(server: int) -> tuple[int, ...]:
    """Bytes of the server and of its worker."""
    (worker,) = processes.children(server)
    return processes.resident_bytes(server), processes.resident_bytes(worker)


def megabytes(sizes: tuple[int, ...]) -> str:
    return " and ".join(f"{size / 1e6:.0f}" for size in sizes)
