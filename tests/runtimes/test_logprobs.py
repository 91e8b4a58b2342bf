"""Probabilities of tokens and of their alternatives, against the reference's scores."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import reference
from openvino_scorer import EXACT

from aipc.errors import UsageError
from aipc.runtimes.base import Constraint, Decoding
from aipc.runtimes.onnx.runtime import ONNXRuntime
from aipc.runtimes.openvino.engine import OpenVINORuntime
from aipc.runtimes.openvino.npu import EMULATION, open_npu
from aipc.runtimes.openvino.static_shape import NpuOptions

PROMPT = (72, 101, 108, 108, 111)


def shares(config, tensors, answer):
    """Log-probabilities [tokens of the answer, vocabulary]."""
    scores = reference.logits(config, tensors, np.array([*PROMPT, *answer])).astype(np.float64)
    rows = scores[len(PROMPT) - 1 : -1]
    odds = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.log(odds / odds.sum(axis=1, keepdims=True))


def expected(config, tensors, answer):
    return shares(config, tensors, answer)[np.arange(len(answer)), answer]


def check_alternatives(generation, rows, count):
    """Against ``rows`` of `shares`; ties within the tolerance may stand either way."""
    assert len(generation.top_logprobs) == len(rows)
    for told, row in zip(generation.top_logprobs, rows, strict=True):
        assert len({token for token, _ in told}) == count
        values = np.array([value for _, value in told])
        assert (np.diff(values) <= 0).all()
        assert np.abs(values - np.sort(row)[::-1][:count]).max() < 2e-3
        assert np.abs(values - row[[token for token, _ in told]]).max() < 2e-3


@pytest.mark.parametrize(
    "decoding",
    [
        {},
        {"repetition_penalty": 2.0},
        {"temperature": 0.5, "seed": 3},
        {"temperature": 1.7, "top_k": 5, "top_p": 0.8, "min_p": 0.1, "seed": 4},
        {"presence_penalty": 1.5, "frequency_penalty": 0.5},
    ],
)
@pytest.mark.parametrize("runtime", ["openvino", "lookup", "npu", "onnx"])
def test_they_are_the_models_own_whatever_the_decoding(runtime, decoding, tiny_models):
    engine, config, tensors = tiny_models(runtime)
    generation = engine.start(PROMPT, Decoding(20, logprobs=True, **decoding), frozenset())
    answer = list(generation)
    wanted = expected(config, tensors, answer)
    assert np.abs(np.array(generation.logprobs) - wanted).max() < 2e-3


@pytest.mark.parametrize("decoding", [{}, {"temperature": 1.7, "top_k": 5, "seed": 4}])
@pytest.mark.parametrize("runtime", ["openvino", "lookup", "npu", "onnx"])
def test_alternatives_are_the_likeliest_by_the_models_own_scores(runtime, decoding, tiny_models):
    engine, *network = tiny_models(runtime)
    asked = Decoding(12, logprobs=True, top_logprobs=7, **decoding)
    generation = engine.start(PROMPT, asked, frozenset())
    answer = list(generation)
    rows = shares(*network, answer)
    check_alternatives(generation, rows, 7)
    assert np.abs(np.array(generation.logprobs) - expected(*network, answer)).max() < 2e-3
    if not decoding:
        assert [told[0][0] for told in generation.top_logprobs] == answer


@pytest.mark.parametrize("runtime", ["openvino", "lookup", "onnx"])
def test_alternatives_are_told_of_an_answer_that_has_to_match(runtime, tiny_models):
    engine, *network = tiny_models(runtime)
    shape = Constraint("regex", "(yes|no)[a-f]{5}")
    asked = Decoding(20, constraint=shape, logprobs=True, top_logprobs=3)
    generation = engine.start(PROMPT, asked, frozenset({257}))
    answer = list(generation)
    plain = engine.start(PROMPT, Decoding(20, constraint=shape), frozenset({257}))
    assert answer == list(plain)
    check_alternatives(generation, shares(*network, answer), 3)
    # what the constraint allows is not what the model would say
    assert [told[0][0] for told in generation.top_logprobs] != answer
    left = engine.start(PROMPT, asked, frozenset({257}))
    next(left)
    left.cancel()
    assert len(list(left)) <= 1


def test_the_npu_says_what_it_can_not_combine(tiny_models):
    engine, *_ = tiny_models("npu")
    asked = Decoding(5, constraint=Constraint("regex", "[a-z]{3}"), logprobs=True)
    with pytest.raises(UsageError, match="a schema together with logprobs"):
        engine.start(PROMPT, asked, frozenset({257}))


@pytest.fixture(scope="module")
def tiny_models(request):
    """Open a tiny network once: (engine, config, tensors)."""
    with contextlib.ExitStack() as stack:
        opened = {}

        def make(runtime):
            if runtime not in opened:
                opened[runtime] = open_(runtime)
                stack.callback(opened[runtime][0].close)
            return opened[runtime]

        def open_(runtime):
            if runtime == "onnx":
                folder, *rest = request.getfixturevalue("tiny_onnx")("llama-gqa")
                return ONNXRuntime().open(folder, "cpu", {}), *rest
            folder, *rest = request.getfixturevalue("tiny_artifact")("llama-gqa")
            if runtime == "npu":
                return open_npu(folder, {**EMULATION, **EXACT}, NpuOptions(64, 64)), *rest
            lookup = {"prompt_lookup": "YES"} if runtime == "lookup" else {}
            return OpenVINORuntime().open(folder, "cpu", {**EXACT, **lookup}), *rest

        yield make
