"""WebGPU from end to end, on a software device: the plugin, a Vulkan driver that the CPU computes.

docs/devices.md says how to have one; SwiftShader has no float16, Mesa's lavapipe has.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny

from aipc.devices.onnxruntime import onnx_devices
from aipc.models.names import CATALOGUE
from aipc.models.store import Store
from aipc.runtimes.onnx.runtime import ONNXRuntime
from aipc.session.convert import convert

DEVICES, PROBLEMS = onnx_devices()
SOFTWARE = next((one for one in DEVICES if one.kind == "webgpu" and one.is_software), None)
pytestmark = pytest.mark.skipif(
    SOFTWARE is None, reason="no WebGPU device in software: docs/devices.md has its three parts"
)
QUESTION = "Name the capital of France."
PROVIDER = "WebGpuExecutionProvider"
WHILE_LOADED = """
import sys
from pathlib import Path
from aipc.devices.onnxruntime import onnx_devices
from aipc.runtimes.base import Decoding
from aipc.runtimes.onnx.runtime import ONNXRuntime

def answer():
    return list(engine.start([72, 101, 108], Decoding(4), frozenset()))

engine = ONNXRuntime().open(Path(sys.argv[1]), "webgpu", {})
before = answer()
assert [one.kind for one in onnx_devices()[0]] == ["cpu", "webgpu"]
assert answer() == before
engine.close()
engine = ONNXRuntime().open(Path(sys.argv[1]), "webgpu", {})
assert answer() == before
assert [one.kind for one in onnx_devices()[0]] == ["cpu", "webgpu"]
"""


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory) -> Path:
    config = tiny.CONFIGS["llama-gqa"]
    folder = tmp_path_factory.mktemp("tiny")
    return tiny.write_checkpoint(folder, config, tiny.random_tensors(config))


@pytest.fixture
def aipc(small_store, monkeypatch):
    """Runs a command as a user does; its stdout."""
    monkeypatch.setenv("AIPC_HOME", str(small_store.home))

    def run(*arguments: str, home: Path | None = None) -> str:
        if home is not None:
            monkeypatch.setenv("AIPC_HOME", str(home))
        command = [sys.executable, "-m", "aipc", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_it_is_listed_as_what_it_is(aipc) -> None:
    listed = json.loads(aipc("devices", "--json"))
    assert listed["problems"] == []
    (device,) = [one for one in listed["devices"] if one["kind"] == "webgpu"]
    assert (device["name"], device["facts"]["type"]) == ("WEBGPU", "software")
    assert device["precisions"][0] == "fp32"


def test_auto_takes_the_cpu(aipc, tiny_model, tmp_path) -> None:
    told = aipc("run", "-m", str(tiny_model), "--runtime", "onnx", "--json", "Hi", home=tmp_path)
    assert json.loads(told)["device"] == "CPU"


def test_a_model_is_converted_compared_with_the_cpu_and_answers(aipc, tiny_model, tmp_path) -> None:
    request = ("run", "-m", str(tiny_model), "--json", "--max-new-tokens", "6", "Hello")
    told = json.loads(aipc(*request, "--device", "webgpu", home=tmp_path))
    assert (told["device"], told["provider"]) == ("WEBGPU", "WebGPU")
    assert ("-webgpu-fp32-" in told["artifact"]) == ("fp16" not in SOFTWARE.precisions)
    (kept,) = (tmp_path / "canary").iterdir()
    verdict = json.loads(kept.read_text("utf-8"))["value"]
    assert verdict["tokens"] == 16
    assert verdict["agreed"] >= 14
    artifact = ("run", "-m", told["artifact"], *request[3:], "--device", "cpu")
    assert json.loads(aipc(*artifact, home=tmp_path))["tokens"] == told["tokens"]
    layers = tiny.CONFIGS["llama-gqa"]["num_hidden_layers"]
    assert told["placement"][PROVIDER] > 5 * layers > told["placement"]["CPUExecutionProvider"]


def test_models_are_listed_around_and_loaded_one_after_another(tiny_model, tmp_path) -> None:
    made = convert(str(tiny_model), target="webgpu", activations="fp32", store=Store(tmp_path))
    command = [sys.executable, "-c", WHILE_LOADED, str(made.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_real_model_computes_the_cpus_logits(small_store) -> None:
    name = CATALOGUE.default.name
    made = convert(name, target="webgpu", activations="fp32", store=small_store)
    ids = [504, 3575, 282, 4649, 314, 7042, 30, 2, *range(1000, 1032)]
    scored = {}
    for device in ("webgpu", "cpu"):
        scorer = ONNXRuntime().scorer(made.path, device, {})
        scored[device] = np.concatenate(list(scorer.logits(ids)))
        scorer.close()
    apart = np.abs(scored["webgpu"] - scored["cpu"]).max()
    assert apart < 1e-3
    assert apart / np.abs(scored["cpu"]).max() < 1e-4


def test_the_real_model_answers(aipc) -> None:
    name = CATALOGUE.default.name
    request = ("run", "-m", name, "--device", "webgpu", "--no-canary", "--max-new-tokens", "9")
    assert aipc(*request, QUESTION).strip() == "The capital of France is Paris."
