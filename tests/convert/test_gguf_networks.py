"""Every network that GGUF holds: the file's tensors and scores are its checkpoint folder's."""

from __future__ import annotations

import networks
import numpy as np
import numpy_scorer
import pytest
from gguf_networks import experts_in_mxfp4, one_by_one, write_gguf

from aipc.checkpoint import open_checkpoint

PHIMOE_ROPE = {
    **networks.Expected("phimoe").config["rope_parameters"],
    **dict.fromkeys(("short_mscale", "long_mscale"), 1.243163121016122),
}
STATED = {
    "gemma2": {"query_pre_attn_scalar": 32},
    "gemma3": {"query_pre_attn_scalar": 32},
    "gemma3-linear": {"query_pre_attn_scalar": 32},
    "phimoe": {"rope_parameters": PHIMOE_ROPE},
    "smollm3": {"no_rope_layers": [1, 1, 1, 0], "no_rope_layer_interval": 4},
}
"""What a file can't state is in it what llama.cpp takes for all networks of the kind."""
NAMES = [
    *STATED,
    *("gemma4", "gemma4-dense"),
    *("qwen3_moe", "mixtral", "gpt_oss", "qwen2_moe", "olmoe", "granitemoe"),
    *("granite", "llama-biases", "llama-linear", "mistral-yarn", "ministral3", "olmo2", "olmo3"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_gguf_file_is_its_checkpoint_folder(name, tmp_path):
    stated = networks.Expected(name)
    config, tensors = {**stated.config, **STATED.get(name, {})}, stated.tensors()
    tiny = networks.tiny
    folder = tiny.write_checkpoint(tmp_path / "folder", config, tensors)
    file = write_gguf(tmp_path / "tiny.gguf", config, tensors)
    with open_checkpoint(file) as checkpoint, open_checkpoint(folder) as wanted:
        assert checkpoint.tensors.keys() == wanted.tensors.keys()
        for tensor in wanted.tensors:
            weights = wanted.rows(tensor)
            # Gemma's norms came back from a sum with 1
            np.testing.assert_allclose(checkpoint.rows(tensor), weights, rtol=0, atol=1e-7)
    of_file, of_folder = (numpy_scorer.scores(path, networks.LONG) for path in (file, folder))
    np.testing.assert_allclose(of_file, of_folder, atol=1e-4)
    if name not in STATED:
        assert np.abs(of_file[networks.PLACES] - stated.logits).max() < 1e-3


def test_experts_one_by_one_are_the_stacked_ones(tmp_path):
    stated = networks.Expected("mixtral")
    both = [
        write_gguf(tmp_path / "stacked.gguf", stated.config, stated.tensors()),
        write_gguf(tmp_path / "apart.gguf", stated.config, stated.tensors(), one_by_one),
    ]
    with open_checkpoint(both[0]) as stacked, open_checkpoint(both[1]) as apart:
        assert apart.config == stacked.config
        assert apart.tensors.keys() == stacked.tensors.keys()
        for tensor in stacked.tensors:
            np.testing.assert_array_equal(apart.rows(tensor, 1, 2), stacked.rows(tensor, 1, 2))
    scores = numpy_scorer.scores(both[1], networks.LONG)
    assert np.abs(scores[networks.PLACES] - stated.logits).max() < 1e-3


def test_gpt_oss_with_experts_in_mxfp4(tmp_path):
    """Its folder has the numbers that the file's blocks stand for."""
    stated = networks.Expected("gpt_oss")
    file = write_gguf(tmp_path / "tiny.gguf", stated.config, stated.tensors(), experts_in_mxfp4)
    with open_checkpoint(file) as checkpoint:
        gate = "model.layers.1.mlp.experts.2.gate_proj.weight"
        assert checkpoint.tensors[gate].dtype == "MXFP4"
        assert checkpoint.tensors["model.layers.1.self_attn.q_proj.weight"].dtype == "Q8_0"
        stored = {name: checkpoint.rows(name) for name in checkpoint.tensors}
    config = {**stated.config, "torch_dtype": "float32"}
    folder = networks.tiny.write_checkpoint(tmp_path / "folder", config, stored)
    of_file, of_folder = (numpy_scorer.scores(path, networks.LONG) for path in (file, folder))
    np.testing.assert_allclose(of_file, of_folder, atol=1e-4)
    rounding = np.abs(of_file[networks.PLACES] - stated.logits)
    assert 1e-3 < np.median(rounding) < 1
