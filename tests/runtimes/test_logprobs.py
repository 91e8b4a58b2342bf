"""Probabilities of the chosen tokens, against a softmax of the reference's scores."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import reference
from openvino_scorer import EXACT

from aipc.runtimes.base import Decoding
from aipc.runtimes.onnx.runtime import ONNXRuntime
from aipc.runtimes.openvino.engine import OpenVINORuntime

PROMPT = (72, 101, 108, 108, 111)


def expected(config, tensors, answer):
    scores = reference.logits(config, tensors, np.array([*PROMPT, *answer])).astype(np.float64)
    rows = scores[len(PROMPT) - 1 : -1]
    shares = np.exp(rows - rows.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return np.log(shares[np.arange(len(answer)), answer])


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
@pytest.mark.parametrize("runtime", ["openvino", "lookup", "onnx"])
def test_they_are_the_models_own_whatever_the_decoding(runtime, decoding, tiny_models):
    engine, config, tensors = tiny_models(runtime)
    generation = engine.start(PROMPT, Decoding(20, logprobs=True, **decoding), frozenset())
    answer = list(generation)
    wanted = expected(config, tensors, answer)
    assert np.abs(np.array(generation.logprobs) - wanted).max() < 2e-3


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
            lookup = {"prompt_lookup": "YES"} if runtime == "lookup" else {}
            return OpenVINORuntime().open(folder, "cpu", {**EXACT, **lookup}), *rest

        yield make
