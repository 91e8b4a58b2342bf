"""Penalties, biases and min_p on the runtimes, against the reference's scores and a plain loop."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import reference
from openvino_scorer import EXACT

from aipc.errors import EngineError, UsageError
from aipc.generate.structured.constraint import constrain
from aipc.runtimes.base import Decoding
from aipc.runtimes.onnx.runtime import ONNXRuntime
from aipc.runtimes.openvino.engine import OpenVINORuntime
from aipc.runtimes.openvino.npu import EMULATION, open_npu
from aipc.runtimes.openvino.static_shape import NpuOptions

PROMPT = (72, 101, 108, 108, 111)
NOTHING = frozenset()
TOKENS = 40


def penalized(config, tensors, *, repetition=1.0, presence=0.0, frequency=0.0, bias=()):
    """What OpenAI's and transformers' formulas make of the reference's scores, greedily."""
    answer = []
    for _ in range(TOKENS):
        scores = reference.logits(config, tensors, np.array([*PROMPT, *answer]))[-1]
        scores = scores.astype(np.float64)
        for token, more in bias:
            scores[token] += more
        for token in {*PROMPT, *answer}:
            scores[token] *= repetition if scores[token] < 0 else 1 / repetition
        for token in {*answer}:
            scores[token] -= presence + frequency * answer.count(token)
        answer.append(int(scores.argmax()))
    return answer


@pytest.fixture(scope="module", params=["openvino", "lookup", "npu", "onnx"])
def opened(request):
    """A tiny network, loaded: (engine, config, tensors)."""
    if request.param == "onnx":
        folder, *rest = request.getfixturevalue("tiny_onnx")("phi3-longrope")
        engine = ONNXRuntime().open(folder, "cpu", {})
    elif request.param == "npu":
        folder, *rest = request.getfixturevalue("tiny_artifact")("phi3-longrope")
        emulated = {**EMULATION, **EXACT}
        engine = open_npu(folder, emulated, NpuOptions(max_prompt_len=64, min_response_len=64))
    else:
        folder, *rest = request.getfixturevalue("tiny_artifact")("phi3-longrope")
        lookup = {"prompt_lookup": "YES"} if request.param == "lookup" else {}
        engine = OpenVINORuntime().open(folder, "cpu", {**EXACT, **lookup})
    with contextlib.closing(engine):
        yield engine, *rest


@pytest.mark.parametrize(
    "penalties",
    [
        {"presence": 1.5},
        {"presence": -1.5},
        {"frequency": 0.7},
        {"frequency": -0.2, "presence": 0.5},
        {"repetition": 1.3, "presence": 0.5, "frequency": 0.2},
    ],
)
def test_the_answer_is_the_formulas_past_a_rotary_switch_too(opened, penalties):
    engine, *network = opened
    named = {f"{name}_penalty": value for name, value in penalties.items()}
    answer = list(engine.start(PROMPT, Decoding(TOKENS, **named), NOTHING))
    assert answer == penalized(*network, **penalties)


def test_a_bias_is_added_to_the_score_whatever_else_is_asked(opened):
    engine, *network = opened
    (first, second, *_) = penalized(*network)
    likeliest = [first, second] if first != second else [first]
    bias = tuple(sorted({**dict.fromkeys(likeliest, -100.0), 7: 1.5}.items()))
    answer = list(engine.start(PROMPT, Decoding(TOKENS, logit_bias=bias), NOTHING))
    assert answer == penalized(*network, bias=bias)
    assert not {*likeliest} & {*answer}
    more = {"repetition_penalty": 1.3, "frequency_penalty": 0.2}
    answer = list(engine.start(PROMPT, Decoding(TOKENS, logit_bias=bias, **more), NOTHING))
    assert answer == penalized(*network, bias=bias, repetition=1.3, frequency=0.2)
    sampled = Decoding(TOKENS, temperature=2.0, seed=1, logit_bias=((9, 100.0),))
    assert set(engine.start(PROMPT, sampled, NOTHING)) == {9}


def test_min_p_of_1_is_greedy_and_a_little_one_is_not(opened):
    engine = opened[0]

    def sample(**options):
        return list(engine.start(PROMPT, Decoding(12, **options), NOTHING))

    assert sample(min_p=1.0, temperature=2.0, seed=5) == sample()
    free = {tuple(sample(min_p=0.01, temperature=2.0, seed=seed)) for seed in range(4)}
    assert len(free) > 1


def test_samples_repeat_by_their_seed_and_end_at_a_stop_id(opened):
    def sample(seed, stop_ids=NOTHING):
        decoding = Decoding(12, temperature=1.5, presence_penalty=1.0, seed=seed)
        return list(opened[0].start(PROMPT, decoding, stop_ids))

    free = sample(7)
    assert free == sample(7) != sample(8)
    assert sample(7, frozenset({free[4]})) == free[: free.index(free[4]) + 1]


def test_a_penalized_answer_can_be_cancelled(opened):
    generation = opened[0].start(PROMPT, Decoding(100, presence_penalty=1.0), NOTHING)
    next(generation)
    generation.cancel()
    generation.cancel()
    assert len(list(generation)) <= 1
    assert list(generation) == []


def test_openvino_says_what_it_can_not_combine_and_that_it_was_closed(tiny_artifact):
    engine = OpenVINORuntime().open(tiny_artifact("llama-gqa")[0], "cpu", EXACT)
    schema = constrain({}).constraint
    with pytest.raises(UsageError, match="a schema together with presence_penalty"):
        engine.start(PROMPT, Decoding(3, presence_penalty=1, constraint=schema), frozenset({2}))
    biased = Decoding(3, logit_bias=((1, 1.0),), constraint=schema)
    with pytest.raises(UsageError, match="a schema together with logit_bias"):
        engine.start(PROMPT, biased, frozenset({2}))
    left = engine.start(PROMPT, Decoding(100, presence_penalty=1.0), NOTHING)
    next(left)
    engine.close()
    assert list(left) == []
    with pytest.raises(EngineError, match="closed"):
        engine.start(PROMPT, Decoding(3, frequency_penalty=1.0), NOTHING)
