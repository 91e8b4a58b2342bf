"""The pool over the small real model: what a client reads is what one user alone would."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import pytest

import aipc
from aipc.errors import PromptTooLong
from aipc.generate import TextPipeline
from aipc.generate.request import GenerationRequest
from aipc.pool.model_registry import ModelRegistry
from aipc.pool.pool import Pool
from aipc.pool.worker.messages import Waiting

EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f16",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
QUESTIONS = [
    f"What is the capital of {country}?" for country in ("France", "Italy", "Spain", "Japan")
]
GREEDY = {"temperature": 0.0, "max_new_tokens": 12}


@pytest.fixture(scope="module")
def alone(smollm_gguf, small_store):
    """Each question's answer, one after the other, without a server."""
    with aipc.load(str(smollm_gguf), device="cpu", store=small_store, properties=EXACT) as session:
        return [session.generate(question, **GREEDY).tokens for question in QUESTIONS]


def request(question, **sampling):
    return GenerationRequest(
        messages=[{"role": "user", "content": question}], sampling={**GREEDY, **sampling}
    )


async def tokens_of(pool, name, question):
    events = [one async for one in pool.answer(name, None, request(question))]
    events = [one for one in events if not isinstance(one, Waiting)]
    assert events[-1].reason in {"stop", "length"}
    return tuple(token for one in events[:-1] for token in one.tokens)


def test_many_at_once_read_what_each_alone_would(alone, smollm_gguf, small_store, run_async):
    async def go():
        registry = ModelRegistry([str(smollm_gguf)], small_store)
        pool = Pool(registry, device="cpu", loading={"properties": EXACT})
        (name,) = [
            name for name, card in registry.cards().items() if card.load_name == str(smollm_gguf)
        ]
        try:
            together = await asyncio.gather(
                *(tokens_of(pool, name, question) for question in QUESTIONS * 2)
            )
            with pytest.raises(PromptTooLong, match="context holds 8,192"):
                await tokens_of(pool, name, "word " * 9000)
            cancelled_s = await cancelled_before_its_first_token(pool, name)
            return together, cancelled_s, pool.statuses()
        finally:
            await pool.close()

    together, cancelled_s, (status,) = run_async(go(), limit_s=120)
    assert together == alone * 2
    assert status.tokens <= sum(map(len, together)) + 1  # that of the step under way
    assert cancelled_s < 5.0  # one step of the engine, on a machine however busy
    assert (status.running, status.restarts) == (0, 0)
    assert status.ready.facts["device"] == "CPU"


async def cancelled_before_its_first_token(pool, name):
    """Seconds from the client's leaving to its place being free."""
    asking = asyncio.create_task(tokens_of(pool, name, "word " * 100))
    await until(lambda: pool.statuses()[0].running)
    started = time.monotonic()
    asking.cancel()
    await until(lambda: not pool.statuses()[0].running)
    return time.monotonic() - started


async def until(condition):
    while not condition():  # noqa: ASYNC110 - another process brings it about
        await asyncio.sleep(0.01)


STORIES = [f"Tell me a long story about the number {number}." for number in range(8)]
LONG = 96


@pytest.mark.long
def test_eight_clients_get_nearly_what_the_bare_pipeline_gives(smollm_gguf, small_store, run_async):
    """Tokens a second, rounds of both in turn; the share that the medians' ratio has to reach."""

    async def go():
        pool = Pool(ModelRegistry([str(smollm_gguf)], small_store), device="cpu")
        try:
            name = pool.models()[0].name
            status = await pool.load(name)
            bare = BarePipeline(status.ready.facts)
            rounds = [
                (await asyncio.to_thread(bare.speed), await pool_speed(pool, name))
                for _ in range(6)
            ]
            return rounds[1:]
        finally:
            await pool.close()

    bare, served = zip(*run_async(go(), limit_s=300), strict=True)
    assert statistics.median(served) / statistics.median(bare) >= 0.95, (bare, served)


class BarePipeline:
    """OpenVINO GenAI's pipeline with nothing of ours around it, set as the pool's is."""

    def __init__(self, facts):
        import openvino_genai

        folder = Path(facts["artifact"])
        text = TextPipeline.read(folder)
        self._prompts = [text.encode(story) for story in STORIES]
        self._config = openvino_genai.GenerationConfig()
        self._config.max_new_tokens = LONG
        self._config.stop_token_ids = set(text.stop_ids)
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(
            folder, scheduler, "CPU", facts["properties"]
        )

    def speed(self):
        import numpy as np
        import openvino

        started = time.perf_counter()
        handles = [
            self._pipeline.add_request(
                number, openvino.Tensor(np.array([ids], np.int64)), self._config
            )
            for number, ids in enumerate(self._prompts)
        ]
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        tokens = [len(handle.read_all()[0].generated_ids) for handle in handles]
        return sum(tokens) / (time.perf_counter() - started)


async def pool_speed(pool, name):
    async def count(story):
        events = [one async for one in pool.answer(name, None, request(story, max_new_tokens=LONG))]
        return events[-1].usage.completion_tokens

    started = time.perf_counter()
    tokens = await asyncio.gather(*map(count, STORIES))
    return sum(tokens) / (time.perf_counter() - started)
