"""Devices of several machines, and artifacts as a choice sees them."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from aipc.choose import Artifact, read_artifact
from aipc.choose.measured import Fingerprint, SetupFigures, Trial, Tuned, Work
from aipc.choose.setup import Setup
from aipc.convert.recipe import Recipe
from aipc.devices import Device


def device(name, runtimes=("openvino",), **fields):
    kind = name.partition(".")[0].lower()
    return Device(name, kind, f"A {name}", runtimes=runtimes, **fields)


@pytest.fixture
def machine():
    """Devices by a short name, to be put together as a test needs them."""
    return {
        "amx": device("CPU", ("openvino", "onnx"), precisions=("fp32", "bf16", "int8")),
        "cpu": device("CPU", ("openvino", "onnx"), precisions=("fp32", "int8")),
        "igpu": device("GPU", precisions=("fp32", "fp16"), facts={"type": "integrated"}),
        "arc": device("GPU.1", memory_bytes=12 * 10**9, facts={"type": "discrete"}),
        "npu": device("NPU", precisions=("fp16", "int8")),
        "cuda": device("CUDA", ("onnx",), memory_bytes=24 * 10**9),
        "directml": device("DIRECTML", ("onnx",)),
        "webgpu": device("WEBGPU", ("onnx",)),
        "old": device("WEBGPU", ("onnx",), precisions=("fp32",)),
        "software": device("WEBGPU", ("onnx",), precisions=("fp32",), facts={"type": "software"}),
    }


@pytest.fixture
def artifact(tmp_path):
    """An OpenVINO artifact of a recipe."""

    def make(recipe=None):
        recipe = recipe or Recipe("int4")
        facts = {"recipe": asdict(recipe)}
        return Artifact(tmp_path / "model", "openvino", recipe.weight_format, facts)

    return make


@pytest.fixture
def onnx_artifact(tmp_path):
    """An ONNX folder that names a provider in its genai_config.json, or none."""

    def make(provider=""):
        folder = tmp_path / "onnx-model"
        folder.mkdir()
        options = {"provider_options": [{provider: {}}] if provider else []}
        config = {"model": {"decoder": {"session_options": options}}}
        (folder / "genai_config.json").write_text(json.dumps(config))
        return read_artifact(folder)

    return make


@pytest.fixture
def npu_generates(monkeypatch):
    """OpenVINO's runtime as it is where it generates on the NPU too."""
    from aipc.runtimes.openvino.engine import OpenVINORuntime

    monkeypatch.setattr(OpenVINORuntime, "kinds", frozenset({"cpu", "gpu", "npu"}))


@pytest.fixture
def tuned():
    """A record of what was measured to be best, on a device with properties."""

    def make(device, properties, recipe=None):
        setup = Setup("openvino", device, recipe, properties)
        choice = Trial(setup, SetupFigures(first_token_s=0.5, token_s=0.131, nbytes=1000))
        machine = Fingerprint("A CPU", 8, {}, {})
        when = "2026-11-22T10:00:00+00:00"
        return Tuned("m", "m", "latency", Work(), when, machine, choice, 1.7, (choice,))

    return make
