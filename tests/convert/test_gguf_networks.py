"""Every network that GGUF holds: the file's tensors and scores are its checkpoint folder's."""

from __future__ import annotations

import networks
import numpy as np
import numpy_scorer
import pytest
from gguf_networks import write_gguf

from aipc.checkpoint import open_checkpoint

STATED = {
    "gemma2": {"query_pre_attn_scalar": 32},
    "gemma3": {"query_pre_attn_scalar": 32},
    "gemma3-linear": {"query_pre_attn_scalar": 32},
    "smollm3": {"no_rope_layers": [1, 1, 1, 0], "no_rope_layer_interval": 4},
}
"""What a file can't state is in it what llama.cpp takes for all networks of the kind."""
NAMES = [
    *STATED,
    *("gemma4", "gemma4-dense"),
    *("granite", "llama-biases", "llama-linear", "mistral-yarn", "ministral3", "olmo2", "olmo3"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_gguf_file_is_its_checkpoint_folder(name, tmp_path):
    stated = networks.Expected(name)
    config, tensors = {**stated.config, **STATED.get(name, {})}, stated.tensors()
    tiny = networks.tiny
    folder = tiny.write_checkpoint(tmp_path / "folder", config, tensors)
    file = write_gguf(tmp_path / "tiny.gguf", config, tensors)
    with open_checkpoint(file) as checkpoint:
        assert checkpoint.tensors.keys() == tensors.keys()
        for tensor, weights in tensors.items():
            # Gemma's norms came back from a sum with 1
            np.testing.assert_allclose(checkpoint.rows(tensor), weights, rtol=0, atol=1e-7)
    of_file, of_folder = (numpy_scorer.scores(path, networks.LONG) for path in (file, folder))
    np.testing.assert_allclose(of_file, of_folder, atol=1e-4)
    if name not in STATED:
        assert np.abs(of_file[networks.PLACES] - stated.logits).max() < 1e-3
