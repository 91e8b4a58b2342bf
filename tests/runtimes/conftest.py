from __future__ import annotations

import pytest
import tiny
from openvino_scorer import EXACT

from aipc.checkpoint import open_checkpoint
from aipc.convert.onnx.plan import plan_onnx
from aipc.convert.openvino.plan import plan_openvino
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.runtimes.fake import FakeEngine
from aipc.runtimes.onnx.runtime import ONNXRuntime
from aipc.runtimes.openvino.engine import OpenVINORuntime


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """Write the checkpoint of a tiny network: (folder, config, tensors)."""

    def make(name):
        config = tiny.CONFIGS[name]
        tensors = tiny.random_tensors(config)
        return (
            tiny.write_checkpoint(tmp_path_factory.mktemp(name), config, tensors),
            config,
            tensors,
        )

    return make


@pytest.fixture(scope="session")
def tiny_artifact(tiny_checkpoint, tmp_path_factory):
    """Make the OpenVINO artifact of a tiny network: (folder, config, tensors)."""

    def make(name):
        source, config, tensors = tiny_checkpoint(name)
        folder = tmp_path_factory.mktemp(f"{name}-artifact")
        with open_checkpoint(source) as checkpoint:
            plan_openvino(checkpoint, Recipe("fp16")).write(folder)
        return folder, config, tensors

    return make


@pytest.fixture(scope="session")
def tiny_onnx(tiny_checkpoint, tmp_path_factory):
    """The same for ONNX Runtime GenAI, for one of its targets."""
    pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime needs Python 3.11")

    def make(name, target="cpu", activations=""):
        source, config, tensors = tiny_checkpoint(name)
        folder = tmp_path_factory.mktemp(f"{name}-onnx")
        with open_checkpoint(source) as checkpoint:
            aim = find_target(target, "onnx")
            aim = aim.computing_in(activations) if activations else aim
            plan_onnx(checkpoint, Recipe("fp16"), aim).write(folder)
        return folder, config, tensors

    return make


@pytest.fixture(scope="module", params=["fake", "openvino", "onnx"])
def engine(request):
    """One loaded engine of every runtime that this machine can run."""
    if request.param == "fake":
        opened = FakeEngine()
    elif request.param == "openvino":
        make = request.getfixturevalue("tiny_artifact")
        opened = OpenVINORuntime().open(make("llama-gqa")[0], "cpu", EXACT)
    else:
        make = request.getfixturevalue("tiny_onnx")
        opened = ONNXRuntime().open(make("llama-gqa")[0], "cpu", {})
    yield opened
    opened.close()
