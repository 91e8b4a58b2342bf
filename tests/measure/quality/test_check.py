"""What a conversion lost, measured without a second artifact."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.convert.plans.planning import plan_decoder
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.measure.quality.check import TextCheck

FEW = TextCheck(tokens=128)


@pytest.fixture
def make(tmp_path):
    """An artifact without a manifest, as one is that is being made."""

    def write(checkpoint, recipe, runtime="openvino", target="cpu"):
        folder = tmp_path / f"{target}-{runtime}-{recipe.tag}"
        folder.mkdir()
        plan_decoder(checkpoint, recipe, find_target(target, runtime)).write(folder)
        return folder

    return write


def test_the_float_side_is_the_model_itself(make, smollm_gguf):
    with open_checkpoint(smollm_gguf) as checkpoint:
        found = FEW(checkpoint, make(checkpoint, Recipe("fp16")))
    assert abs(found.kl) < 1e-5
    assert (found.same_top, found.tokens, found.measured) == (1, 128, True)
    assert found.scored["numerics"]["INFERENCE_PRECISION_HINT"] == "f32"


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_int8_keeps_more_than_int4_and_leaves_nothing_open(make, smollm_gguf, runtime):
    if runtime == "onnx":
        pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime needs Python 3.11")
    losses = []
    with open_checkpoint(smollm_gguf) as checkpoint:
        for recipe in (Recipe("int8"), Recipe("int4", quantizer="rtn")):
            folder = make(checkpoint, recipe, runtime)
            files = sorted(folder.iterdir())
            losses.append(FEW(checkpoint, folder).kl)
            assert sorted(folder.iterdir()) == files
            if sys.platform == "linux":  # Windows renames no folder with a file open in it
                assert str(folder) not in Path("/proc/self/maps").read_text()
    assert 0.001 < losses[0] < 0.03
    assert 10 * losses[0] < losses[1] < 2


@pytest.mark.parametrize("name", ["llama-gqa", "mistral-window", "gemma", "phi3"])
def test_a_short_context_is_read_as_far_as_it_goes(make, tmp_path, name):
    config = tiny.CONFIGS[name]
    folder = tiny.write_checkpoint(tmp_path / name, config, tiny.random_tensors(config))
    with open_checkpoint(folder) as checkpoint:
        found = TextCheck()(checkpoint, make(checkpoint, Recipe("fp16")))
    assert 128 < found.tokens < 256
    assert found.kl == pytest.approx(0, abs=1e-5)


def test_an_artifact_for_another_device_is_run_by_the_cpu(make, tmp_path):
    pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime needs Python 3.11")
    config = tiny.CONFIGS["llama-gqa"] | {"head_dim": 16}
    folder = tiny.write_checkpoint(tmp_path / "tiny", config, tiny.random_tensors(config))
    with open_checkpoint(folder) as checkpoint:
        found = TextCheck()(checkpoint, make(checkpoint, Recipe("int8"), "onnx", "cuda"))
    assert found.scored["device"] == "CPU"
    assert 0 < found.kl < 0.01
