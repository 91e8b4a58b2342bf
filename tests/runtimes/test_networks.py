"""Every network on every runtime against transformers: short prompts, and ones past all windows."""

from __future__ import annotations

import contextlib
import functools

import networks
import pytest
from openvino_scorer import EXACT

from aipc.checkpoint import open_checkpoint
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.recipe import Recipe
from aipc.errors import ArtifactError, EngineError, UsageError
from aipc.runtimes.base import Constraint, Decoding
from aipc.runtimes.onnx.runtime import ONNXRuntime
from aipc.runtimes.openvino.engine import OpenVINORuntime
from aipc.runtimes.openvino.npu import EMULATION, open_npu
from aipc.runtimes.openvino.static_shape import NpuOptions

FP16 = Recipe(weight_format="fp16")
FITTING = NpuOptions(max_prompt_len=64, min_response_len=64)
OPENERS = {
    "openvino": (plan_openvino, lambda folder: OpenVINORuntime().open(folder, "cpu", EXACT)),
    "npu": (plan_openvino, lambda folder: open_npu(folder, {**EMULATION, **EXACT}, FITTING)),
    "onnx": (plan_onnx, lambda folder: ONNXRuntime().open(folder, "cpu", {})),
}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """The folder of a network's artifact, made once."""

    @functools.cache
    def convert(name, plan):
        folder = tmp_path_factory.mktemp(name)
        source = networks.Expected(name).write(folder / "checkpoint")
        with open_checkpoint(source) as checkpoint:
            plan(checkpoint, FP16).write(folder)
        return folder

    return convert


@pytest.mark.parametrize(
    ("name", "runtime"),
    [
        (name, runtime)
        for name in networks.NAMES
        for runtime in OPENERS
        if runtime != "onnx" or name not in networks.NOT_FOR_ONNX
    ],
)
def test_answers_are_transformers(name, runtime, artifact):
    plan, opened = OPENERS[runtime]
    answers = networks.Expected(name).answers
    if runtime == "npu" and name in networks.HYBRID:
        with pytest.raises(ArtifactError, match="choose --device cpu or gpu"):
            opened(artifact(name, plan))
        return
    if runtime == "npu" and name.startswith("phimoe"):
        with pytest.raises(EngineError, match="could not be compiled for the NPU"):
            opened(artifact(name, plan))
        return
    with contextlib.closing(opened(artifact(name, plan))) as engine:
        for prompt, answer in zip((networks.SHORT, networks.LONG), answers, strict=True):
            assert list(engine.start(prompt, Decoding(networks.ANSWER), frozenset())) == answer


def test_answers_of_a_graph_that_is_not_paged_run_side_by_side(artifact):
    answers = networks.Expected("gemma2").answers
    with contextlib.closing(OPENERS["openvino"][1](artifact("gemma2", plan_openvino))) as engine:
        both = [
            engine.start(prompt, Decoding(networks.ANSWER), frozenset())
            for prompt in (networks.SHORT, networks.LONG)
        ]
        pairs = list(zip(*both, strict=True))
        assert [list(answer) for answer in zip(*pairs, strict=True)] == answers
        with pytest.raises(UsageError, match="--runtime onnx"):
            engine.start([72], Decoding(4, constraint=Constraint("regex", "a+")), frozenset())
    assert engine.facts["paged"] is False
