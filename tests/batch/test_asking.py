"""Lines asked of real workers with a fake model."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from batch_files import CHAT

from aipc.batch.asking import LineInterrupted, answer_line, seed_of
from aipc.batch.input.lines import Line


def line(prompt="hello there", url=CHAT, custom_id="a", **members):
    said = {"prompt": prompt} if url.endswith("/completions") and "chat" not in url else {}
    said = said or ({"input": prompt} if "responses" in url else {})
    said = said or {"messages": [{"role": "user", "content": prompt}]}
    body = json.dumps({**said, "model": "fake", **members}).encode()
    return Line(1, custom_id, url, "fake", body)


@pytest.fixture
def answers(fake_pool, run_async):
    """What lines get of one pool."""

    def ask(*lines):
        async def go():
            async with fake_pool() as pool:
                return [await answer_line(pool, one) for one in lines]

        return run_async(go())

    return ask


def test_each_path_is_answered_as_its_own(answers):
    chat, completion, response = answers(
        line(),
        line("hello there", "/v1/completions"),
        line("hello there", "/v1/responses"),
    )
    assert chat.body["object"] == "chat.completion"
    assert chat.body["choices"][0]["message"]["content"].strip() == "hello there"
    assert completion.body["object"] == "text_completion"
    assert response.body["object"] == "response"
    assert [one.use.completion for one in (chat, completion, response)] == [2, 2, 2]
    assert not any(one.is_failed for one in (chat, completion, response))
    assert json.loads(chat.to_line())["response"]["status_code"] == 200


def test_what_the_model_refuses_is_a_failed_answer(answers):
    refused, failed = answers(line("refuse"), line("fail"))
    assert (refused.status_code, failed.status_code) == (400, 500)
    assert refused.body["error"]["message"]


@pytest.mark.parametrize("deadly", ["die after 2", "break"])
def test_a_dead_worker_or_a_broken_engine_is_no_answer(fake_pool, run_async, deadly):
    async def go():
        async with fake_pool() as pool:
            with pytest.raises(LineInterrupted, match=r"worker of 'fake'|loaded anew"):
                await answer_line(pool, line(deadly))
            with suppress(LineInterrupted):  # a worker that is about to end may take it along
                await answer_line(pool, line())
            return await answer_line(pool, line())

    assert not run_async(go()).is_failed


def test_a_seed_is_made_of_the_id_where_none_is_given(fake_pool, run_async):
    asked = []

    async def go():
        async with fake_pool() as pool:
            answer = pool.answer

            def seen(model, device, request, **more):
                asked.append(request)
                return answer(model, device, request, **more)

            pool.answer = seen
            await answer_line(pool, line(custom_id="one", n=2, temperature=1))
            await answer_line(pool, line(custom_id="two", seed=7))

    run_async(go())
    seeds = [one.sampling["seed"] for one in asked]
    assert seeds == [seed_of("one", 0), seed_of("one", 1), 7]
    assert all(one.whole for one in asked)
    assert len({seed_of(f"id-{at}", 0) for at in range(1000)}) == 1000
