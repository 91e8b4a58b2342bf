"""Text networks inside multimodal ones, against what transformers answers (make_multimodal.py)."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.convert.quantizers.activations import matrix_inputs, read_matrix

REFERENCE = json.loads(Path(__file__).with_name("multimodal.json").read_text("utf-8"))


def multimodal_tensors(shapes):
    """The weights that the reference was computed with, drawn from each tensor's name."""
    return {name: drawn(name, shape) for name, shape in shapes.items()}


def drawn(name, shape):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    centre = 1 if "norm" in name else 0
    return (centre + rng.standard_normal(shape) * 0.2).astype(np.float16)


@pytest.mark.parametrize("name", REFERENCE["cases"])
def test_text_alone_is_answered_as_transformers_does(tmp_path, name):
    case = REFERENCE["cases"][name]
    folder = tiny.write_checkpoint(tmp_path, case["config"], multimodal_tensors(case["shapes"]))
    with open_checkpoint(folder) as checkpoint:
        network = read_network(checkpoint)
        ids = np.array([REFERENCE["ids"]])
        *_, (head, inputs) = matrix_inputs(checkpoint, network, ids)
        logits = inputs.reshape(*ids.shape, -1)[0, -2:] @ read_matrix(checkpoint, head).T
    np.testing.assert_allclose(logits, case["logits"], atol=1e-3)
    assert "tensors for images or sound" in checkpoint.notes[0]
