from __future__ import annotations

import dataclasses
import json
from importlib.metadata import version
from pathlib import Path

import pytest
import tiny

from aipc.artifact import manifest
from aipc.convert.recipe import Recipe
from aipc.models.blobs import Blobs, list_blobs
from aipc.models.store import Store
from aipc.runtimes.onnx import ready_weights
from aipc.runtimes.openvino.static_shape import NpuOptions
from aipc.session.convert import convert

INSTALLED = version("openvino")
BLOB = "model.blob"


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch):
    """A cache with one usable blob and three stale ones; its folder."""
    monkeypatch.setattr("aipc.cli.cache._npu_driver", lambda: "32.0.1")
    folder = Store(tmp_path / "home").blobs
    (tmp_path / "artifact").mkdir()

    def make(prompt, artifact="artifact", driver="32.0.1", openvino=INSTALLED):
        about = {"model": "m", "artifact": str(tmp_path / artifact), "driver": driver}
        configuration = {"openvino": f"{openvino}-1-releases/x", "max_prompt_len": prompt}
        with Blobs(folder, {**about, "device": "NPU"}).making(configuration, 1) as made:
            (made / BLOB).write_bytes(b"b" * 1_500_000)

    make(1024)
    make(2048, openvino="2025.1.0")
    make(4096, driver="31.0.9")
    make(8192, artifact="gone")
    return folder


def test_the_list_says_what_can_be_used(aipc, compiled) -> None:
    outcome = aipc("cache", "list")
    lines = [line.split() for line in outcome.stdout.splitlines()]
    assert lines[0] == ["KEY", "DEVICE", "SIZE", "CREATED", "PROMPT", "STATE", "MODEL"]
    states = {line[5]: line[6] for line in lines[1:]}
    assert states == {"1,024": "usable", "2,048": "stale", "4,096": "stale", "8,192": "stale"}
    assert outcome.stderr == f"6.0 MB in {compiled}\n"


def test_the_list_as_json(aipc, compiled) -> None:
    told = json.loads(aipc("cache", "list", "--json").stdout)
    assert {entry["identity"]["max_prompt_len"] for entry in told} == {1024, 2048, 4096, 8192}
    assert [entry["identity"]["max_prompt_len"] for entry in told if not entry["stale"]] == [1024]


def test_an_empty_cache_says_what_fills_it(aipc) -> None:
    outcome = aipc("cache", "list")
    assert (outcome.status, outcome.stdout) == (0, "")
    assert "aipc cache prebuild MODEL" in outcome.stderr
    assert aipc("cache", "list", "--json").stdout == "[]\n"


def test_explain_says_why_each_is_stale(aipc, compiled) -> None:
    text = aipc("cache", "explain").stdout
    assert text.count(": usable\n") == 1
    assert f"made with OpenVINO 2025.1.0, and {INSTALLED} is installed" in text
    assert "made with the driver 31.0.9, and this machine has 32.0.1" in text
    assert "its model is gone" in text
    assert "  max_prompt_len: 4096\n" in text


def test_explain_takes_the_beginning_of_a_key(aipc, compiled) -> None:
    key = list_blobs(compiled)[0].name
    assert aipc("cache", "explain", key[:8]).stdout.startswith(key)
    unknown = aipc("cache", "explain", "nothing")
    assert unknown.status == 2
    assert "the cache has no 'nothing'" in unknown.stderr


def test_prune_takes_the_stale_and_the_half_made(aipc, compiled) -> None:
    usable = next(blob for blob in list_blobs(compiled) if blob.identity["max_prompt_len"] == 1024)
    half = compiled / "half"
    half.mkdir()
    (half / BLOB).write_bytes(b"?")
    outcome = aipc("cache", "prune")
    assert outcome.stdout.count("removed ") == 4
    assert "half (half made)" in outcome.stdout
    assert list_blobs(compiled) == [usable]
    assert aipc("cache", "prune").stderr == "nothing to remove\n"
    assert aipc("cache", "prune", "--all").stdout.endswith("(usable)\n")
    assert list_blobs(compiled) == []


def test_prebuild_loads_the_model_for_the_npu(aipc, stand_in) -> None:
    facts = {"model": "stand-in", "max_prompt_len": 2048}
    session = stand_in(facts=facts)
    outcome = aipc("cache", "prebuild", "phi-3-mini", "--emulate", "--max-prompt-len", "2048")
    assert outcome.stdout == "ready for prompts up to 2,048 tokens: stand-in\n"
    assert session.loaded["name"] == "phi-3-mini"
    assert session.loaded["device"] == "npu"
    assert session.loaded["emulate"] is True
    assert session.loaded["npu"] == NpuOptions(max_prompt_len=2048)
    assert session.closed


@pytest.fixture
def onnx_artifact(tmp_path: Path) -> Path:
    pytest.importorskip("onnxruntime_genai", reason="pip install 'aipc[onnx]'")
    source, folder = tmp_path / "checkpoint", tmp_path / "tiny-onnx"
    source.mkdir()
    config = tiny.CONFIGS["llama-gqa"]
    tiny.write_checkpoint(source, config, tiny.random_tensors(config))
    convert(str(source), Recipe("int4"), runtime="onnx", output=folder)
    return folder


def test_prebuild_for_the_cpu_keeps_weights_ready_once(aipc, onnx_artifact) -> None:
    first = aipc("cache", "prebuild", str(onnx_artifact), "--device", "cpu")
    assert first.stdout == f"ready for the CPU: {onnx_artifact}\n"
    again = aipc("cache", "prebuild", str(onnx_artifact), "--device", "cpu")
    assert again.stdout == f"ready already for the CPU: {onnx_artifact}\n"
    (line,) = aipc("cache", "list").stdout.splitlines()[1:]
    assert [line.split()[at] for at in (1, 5, 6, 7)] == ["CPU", "any", "usable", "tiny-onnx"]
    assert aipc("cache", "prune").stderr == "nothing to remove\n"


def test_ready_weights_are_stale_with_another_version_processor_or_model(
    aipc, onnx_artifact, monkeypatch
) -> None:
    aipc("cache", "prebuild", str(onnx_artifact), "--device", "cpu")
    cpu = ready_weights.read_cpu()
    with monkeypatch.context() as patch:
        patch.setattr(ready_weights, "installed", lambda: {"onnxruntime": "9.9"})
        assert "and here is onnxruntime 9.9" in aipc("cache", "explain").stdout
    with monkeypatch.context() as patch:
        patch.setattr(ready_weights, "read_cpu", lambda: dataclasses.replace(cpu, name="Other"))
        assert f"made with processor {cpu.name}" in aipc("cache", "explain").stdout
    made = manifest.read(onnx_artifact)
    (onnx_artifact / manifest.FILE).unlink()
    (onnx_artifact / "model.onnx.data").write_bytes(b"other weights")
    manifest.write(onnx_artifact, made.kind, made.name, made.facts)
    assert "its model was made again" in aipc("cache", "prune").stdout
    assert aipc("cache", "list").stdout == ""


def test_prebuild_for_the_cpu_takes_no_option_of_the_npu(aipc) -> None:
    outcome = aipc("cache", "prebuild", "phi-3-mini", "--device", "cpu", "--emulate")
    assert outcome.status == 2
    assert "have no meaning on the CPU" in outcome.stderr
