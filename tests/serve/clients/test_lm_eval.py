"""EleutherAI's evaluation harness over /v1/completions, against our own scorer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from client_requests import KEY, MODEL
from served import EXACT

import aipc
from aipc.generate import TextPipeline
from aipc.measure.quality.divergence import continued
from aipc.runtimes.registry import RUNTIMES

ASKED = {
    "The capital of France is": [" Paris", " London", " a city, café and all 😀"],
    "Two plus two is": [" four", " nine"],
}


@pytest.fixture(scope="module")
def harness():
    pytest.importorskip("transformers")
    for needed in ("aiohttp", "requests", "tenacity", "tqdm"):  # what its extra "api" brings
        pytest.importorskip(needed)
    return pytest.importorskip("lm_eval.models.openai_completions")


@pytest.fixture(scope="module")
def judged(small_store):
    """(folder, scorer) of the model as the server has it."""
    pairs = [pair for pair in EXACT if "=" in pair]
    properties = dict(pair.split("=", 1) for pair in pairs)
    named = {"device": "cpu", "runtime": "openvino", "store": small_store}
    with aipc.load(MODEL, properties=properties, **named) as session:
        folder = Path(session.facts["artifact"])
    scorer = RUNTIMES.get("openvino").scorer(folder, "cpu", properties)
    yield folder, scorer
    scorer.close()


@pytest.mark.parametrize("tokenized", [True, False])
@pytest.mark.parametrize("at_once", [1, 4])
def test_its_loglikelihoods_are_those_of_the_scorer(
    harness, api_url, judged, tokenized, at_once, monkeypatch
):
    folder, scorer = judged
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = harness.LocalCompletionsAPI(
        base_url=f"{api_url}/completions",
        model=MODEL,
        tokenizer=str(folder),
        tokenizer_backend="huggingface",
        tokenized_requests=tokenized,
        num_concurrent=at_once,
        batch_size=at_once,
        max_retries=1,
    )
    pairs = [(context, rest) for context, choices in ASKED.items() for rest in choices]
    requests = [SimpleNamespace(args=pair) for pair in pairs]
    tokenizer = TextPipeline.read(folder).tokenizer
    for (context, rest), told in zip(pairs, model.loglikelihood(requests), strict=True):
        before = tokenizer.encode(context, add_special_tokens=False)
        whole = tokenizer.encode(context + rest, add_special_tokens=False)
        found = continued(scorer, before, whole[len(before) :])
        assert told[0] == pytest.approx(found.logprob, abs=1e-3)
        assert told[1] == found.greedy
