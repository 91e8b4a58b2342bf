"""The small real model: with ``exact`` each answer of a batch is that to its prompt alone."""

from __future__ import annotations

import json

import pytest

import aipc
from aipc import batch
from aipc.batch.options import BatchOptions

PLACES = ("Paris", "London", "Tokyo", "Rome", "Cairo", "Lima", "Oslo", "Delhi", "Quito", "Bern")


def body(at):
    """Every third is sampled; its seed is given, as that of the id is not told."""
    question = f"In one word: which country is {PLACES[at % 10]} in? Question {at}."
    messages = [{"role": "user", "content": question}]
    sampling = {"temperature": 1.0, "seed": at} if at % 3 == 0 else {"temperature": 0.0}
    return {"model": "any", "messages": messages, "max_tokens": 4 + at % 4, **sampling}


def answers_and_sample(count, sample, out, smollm_gguf, small_store):
    """Those of a batch by the line's number, and what some prompts get in their own session."""
    source = out.with_name("in.jsonl")
    with source.open("w") as file:
        for at in range(count):
            line = {"custom_id": f"{at}", "method": "POST", "url": "/v1/chat/completions"}
            file.write(json.dumps({**line, "body": body(at)}) + "\n")
    how = {"device": "cpu", "runtime": "openvino"}
    options = BatchOptions(exact=True, ordered=True)
    summary = batch.run(source, out, str(smollm_gguf), options, store=small_store, **how)
    assert (summary.answered, summary.failed, summary.left) == (count, 0, 0)
    told = [json.loads(line) for line in out.read_text().splitlines()]
    assert [one["custom_id"] for one in told] == [f"{at}" for at in range(count)]
    texts = [one["response"]["body"]["choices"][0]["message"]["content"] for one in told]
    some = range(0, count, count // sample)
    alone = {}
    for at in some:
        asked = body(at)
        limit = {"max_new_tokens": asked["max_tokens"], "temperature": asked["temperature"]}
        seed = {"seed": asked["seed"]} if "seed" in asked else {}
        with aipc.load(str(smollm_gguf), store=small_store, exact=True, **how) as session:
            alone[at] = session.generate(asked["messages"], **limit, **seed).text
    return texts, alone


def test_each_answer_is_that_to_its_prompt_alone(tmp_path, smollm_gguf, small_store):
    texts, alone = answers_and_sample(6, 2, tmp_path / "out.jsonl", smollm_gguf, small_store)
    assert {at: texts[at] for at in alone} == alone


@pytest.mark.long
def test_so_do_fifty_of_two_thousand(tmp_path, smollm_gguf, small_store):
    out = tmp_path / "out.jsonl"
    texts, alone = answers_and_sample(2000, 50, out, smollm_gguf, small_store)
    assert len(alone) == 50
    assert {at: texts[at] for at in alone} == alone
