"""On the accelerators of this machine, where it has some and the wheels for them."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import reference

from aipc.convert.targets import find_target
from aipc.devices.onnxruntime import onnx_devices
from aipc.runtimes.base import Decoding
from aipc.runtimes.onnx.provider import find_provider
from aipc.runtimes.onnx.runtime import ONNXRuntime

PROMPT = [72, 101, 108, 108, 111, 32]
DEVICES = [device for device in onnx_devices()[0] if device.kind != "cpu"]
NONE = pytest.param(None, marks=pytest.mark.skip("ONNX Runtime reaches no accelerator here"))


@pytest.fixture(params=DEVICES or [NONE], ids=lambda device: device and device.name)
def opened(request, tiny_onnx):
    target = find_target(request.param.kind, "onnx").fitting(request.param.precisions)
    folder, config, tensors = tiny_onnx("llama-gqa", target.name, target.activations)
    engine = ONNXRuntime().open(folder, request.param.name.lower(), {})
    yield engine, request.param, config, tensors
    engine.close()


def answer(engine, prompt, count=6, **decoding):
    return list(engine.start(prompt, Decoding(count, **decoding), frozenset()))


def test_it_computes_the_reference(opened):
    """The first tokens: in float16 a near-tie may fall the other way."""
    engine, _, config, tensors = opened
    sequence = list(PROMPT)
    for _ in range(3):
        sequence.append(int(reference.logits(config, tensors, np.array(sequence))[-1].argmax()))
    assert answer(engine, PROMPT)[:3] == sequence[len(PROMPT) :]


def test_the_profile_of_a_run_shows_the_device(opened):
    engine, device, _, _ = opened
    assert engine.device == device.name
    if not find_provider(device.kind).profiled:
        pytest.skip("this ONNX Runtime gives no profile of a run")
    placement = dict(engine.facts["placement"])
    assert placement.pop(device.facts["provider"]) > placement.pop("CPUExecutionProvider", 0)
    assert not placement


def test_several_answers_at_once_are_those_of_each_alone(opened):
    engine = opened[0]
    prompts = [[10 + n, 20, 30 + n] for n in range(4)]
    alone = [answer(engine, prompt, 12) for prompt in prompts]
    together = [None] * len(prompts)

    def run(n):
        together[n] = answer(engine, prompts[n], 12)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_the_same_seed_gives_the_same_sample(opened):
    sampled = {"temperature": 1.2, "seed": 5}
    assert answer(opened[0], PROMPT, 12, **sampled) == answer(opened[0], PROMPT, 12, **sampled)
