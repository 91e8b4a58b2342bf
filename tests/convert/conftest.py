from __future__ import annotations

import functools

import numpy as np
import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.plans import decoder_plan
from aipc.convert.quantizers.awq import foldable
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target


@pytest.fixture(scope="session")
def converted(convert_anew):
    """The artifact's folder of a checkpoint and a recipe, made once."""
    return functools.cache(convert_anew)


@pytest.fixture(scope="session")
def convert_anew(tmp_path_factory):
    """Convert a checkpoint folder or file; the artifact's folder."""

    def convert(source, recipe):
        folder = tmp_path_factory.mktemp("artifact")
        with open_checkpoint(source) as checkpoint:
            plan_openvino(checkpoint, recipe).write(folder)
        return folder

    return convert


@pytest.fixture(scope="session")
def converted_to_onnx(convert_to_onnx_anew):
    """The ONNX artifact's folder of a checkpoint, a recipe and a target's name, made once."""
    return functools.cache(convert_to_onnx_anew)


@pytest.fixture(scope="session")
def convert_to_onnx_anew(tmp_path_factory):
    """Convert a checkpoint folder or file for ONNX Runtime; the artifact's folder."""

    def convert(source, recipe, target="cpu", activations=""):
        folder = tmp_path_factory.mktemp("artifact")
        aim = find_target(target, "onnx")
        aim = aim.computing_in(activations) if activations else aim
        with open_checkpoint(source) as checkpoint:
            plan_onnx(checkpoint, recipe, aim).write(folder)
        return folder

    return convert


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """A tiny random checkpoint by its name in `tiny.CONFIGS`: folder, config, tensors."""

    def make(name):
        config = tiny.CONFIGS[name]
        tensors = tiny.random_tensors(config)
        folder = tiny.write_checkpoint(tmp_path_factory.mktemp(name), config, tensors)
        return folder, config, tensors

    return make


@pytest.fixture(scope="session")
def uneven_checkpoint(tmp_path_factory):
    """Like `tiny_checkpoint`, with norms that make some channels much stronger than others."""

    def make(name):
        config = tiny.CONFIGS[name]
        offset, random = float(config["model_type"] == "gemma"), np.random.default_rng(8)
        tensors = tiny.random_tensors(config)
        for tensor in [tensor for tensor in tensors if tensor.endswith("layernorm.weight")]:
            strength = np.exp(random.standard_normal(config["hidden_size"]))
            tensors[tensor] = tiny.as_float16((tensors[tensor] + offset) * strength - offset)
        folder = tiny.write_checkpoint(tmp_path_factory.mktemp(name), config, tensors)
        return folder, config, tensors

    return make


@pytest.fixture
def scales_at_random(tmp_path, monkeypatch):
    """A recipe that keeps 8 bits everywhere, in networks folded by random scales all the same."""
    random = np.random.default_rng(9)

    def scales(_weights, network, _encodings, _ids):
        return {
            matrix.name: np.exp(random.uniform(-1, 1, matrix.columns)).astype(np.float32)
            for block in network.blocks
            for matrix in foldable(block)
        }

    monkeypatch.setattr(decoder_plan, "choose_scales", scales)
    text = tmp_path / "text.txt"
    text.write_text("The quick brown fox jumps over the lazy dog. " * 40)
    return Recipe(group_size=32, ratio=0.0, quantizer="awq", calibration=str(text))
