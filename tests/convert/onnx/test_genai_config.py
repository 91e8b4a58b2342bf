"""Ours against those that onnxruntime-genai's model builder 0.18.0 made of the same model.

``genai_configs/`` holds what ``python -m onnxruntime_genai.models.builder -p int4 -e …`` wrote.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny

from aipc.artifact.providers import GRAPH_FORMS
from aipc.checkpoint import open_checkpoint
from aipc.convert.families import read_network
from aipc.convert.onnx.genai_config import write_genai_config
from aipc.convert.recipe import Recipe

BUILDERS = Path(__file__).with_name("genai_configs")


def written(source, folder, provider="cpu"):
    with open_checkpoint(source) as checkpoint:
        checkpoint.write_text_files(folder)
        write_genai_config(folder, "model.onnx", read_network(checkpoint), GRAPH_FORMS[provider])
    return json.loads((folder / "genai_config.json").read_text())


@pytest.mark.parametrize("provider", GRAPH_FORMS)
def test_only_the_length_differs_from_the_builders(provider, smollm_gguf, tmp_path):
    ours = written(smollm_gguf, tmp_path, provider)
    theirs = json.loads((BUILDERS / f"{provider}.json").read_text())
    assert ours["search"].pop("max_length") == 4096
    assert theirs["search"].pop("max_length") == 8192
    ends = [set(config["model"].pop("eos_token_id")) for config in (ours, theirs)]
    assert ends[0] == ends[1] == {0, 2}
    assert ours == theirs


def test_a_small_context_and_the_models_own_sampling_are_kept(tmp_path):
    config = tiny.CONFIGS["mistral-window"]
    source = tiny.write_checkpoint(tmp_path / "source", config, tiny.random_tensors(config))
    stated = {
        "eos_token_id": [257, 259, 32000],
        "do_sample": True,
        "temperature": 0.6,
        "top_p": 0.9,
    }
    (source / "generation_config.json").write_text(json.dumps(stated))
    (tmp_path / "made").mkdir()
    content = written(source, tmp_path / "made")
    assert content["model"]["eos_token_id"] == [257, 259]
    assert content["model"]["type"] == "mistral"
    search = content["search"]
    assert (search["max_length"], search["temperature"], search["top_p"]) == (128, 0.6, 0.9)
    assert search["do_sample"] is True


def test_position_ids_are_named_where_the_graph_has_them(tiny_checkpoint, converted_to_onnx):
    """Rotary tables too narrow for the attention operator: the CPU's graph turns outside it."""
    folder, _, _ = tiny_checkpoint("phi3-partial-tied")
    artifact = converted_to_onnx(folder, Recipe("fp16"))
    inputs = json.loads((artifact / "genai_config.json").read_text())["model"]["decoder"]["inputs"]
    assert inputs["position_ids"] == "position_ids"
