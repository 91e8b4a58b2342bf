from __future__ import annotations

import functools

import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.convert import onnx_artifact, openvino_artifact
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
            openvino_artifact.plan(checkpoint, recipe).write(folder)
        return folder

    return convert


@pytest.fixture(scope="session")
def converted_to_onnx(convert_to_onnx_anew):
    """The ONNX artifact's folder of a checkpoint, a recipe and a target's name, made once."""
    return functools.cache(convert_to_onnx_anew)


@pytest.fixture(scope="session")
def convert_to_onnx_anew(tmp_path_factory):
    """Convert a checkpoint folder or file for ONNX Runtime; the artifact's folder."""

    def convert(source, recipe, target="cpu"):
        folder = tmp_path_factory.mktemp("artifact")
        with open_checkpoint(source) as checkpoint:
            onnx_artifact.plan(checkpoint, recipe, find_target(target, "onnx")).write(folder)
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
