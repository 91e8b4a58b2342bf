"""Networks whose blocks keep states: long prompts, common beginnings, several answers at once."""

from __future__ import annotations

import contextlib
import functools

import networks
import numpy as np
import pytest
import tiny
from openvino_scorer import EXACT, Scorer

from aipc.checkpoint import open_checkpoint
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.recipe import Recipe
from aipc.runtimes.base import Decoding
from aipc.runtimes.registry import RUNTIMES

PLANS = {"openvino": plan_openvino, "onnx": plan_onnx}
PROPERTIES = {"openvino": EXACT, "onnx": {}}
LONGEST = [int(one) for one in np.random.default_rng(5).integers(0, 256, 900)]
PROMPTS = [LONGEST, [*LONGEST[:700], 1, 2, 3], [*LONGEST, 7, 8, 9], LONGEST[:33], LONGEST]
"""Longer than what is computed at once, and than what lies between two copies of a state."""
ANSWER = Decoding(20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a network's artifact, made once, with room for long prompts."""

    @functools.cache
    def convert(name, runtime):
        made, expected = tmp_path_factory.mktemp(f"{name}-{runtime}"), networks.Expected(name)
        config = {**expected.config, "max_position_embeddings": 2048}
        tiny.write_checkpoint(made / "checkpoint", config, expected.tensors())
        with open_checkpoint(made / "checkpoint") as checkpoint:
            PLANS[runtime](checkpoint, Recipe(weight_format="fp16")).write(made)
        return made

    return convert


@pytest.mark.parametrize("runtime", PLANS)
@pytest.mark.parametrize("name", ["lfm2", "qwen3_5"])
def test_a_state_serves_no_other_beginning(name, runtime, folder):
    graph = folder(name, "openvino")
    expected = [Scorer(graph).greedy(prompt, ANSWER.max_new_tokens) for prompt in PROMPTS]
    opened = RUNTIMES.get(runtime).open(folder(name, runtime), "cpu", PROPERTIES[runtime])
    with contextlib.closing(opened) as engine:
        after_another = [list(engine.start(one, ANSWER, frozenset())) for one in PROMPTS]
        together = [engine.start(one, ANSWER, frozenset()) for one in PROMPTS]
        at_once = [list(answer) for answer in zip(*zip(*together, strict=True), strict=True)]
        following = [*PROMPTS[3], *expected[3], 5, 6]
        answer = list(engine.start(following, ANSWER, frozenset()))
    assert after_another == expected
    assert at_once == expected
    assert answer == Scorer(graph).greedy(following, ANSWER.max_new_tokens)
