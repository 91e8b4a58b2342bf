"""Text networks inside multimodal ones, against what transformers answers (make_multimodal.py)."""

import json
import zlib
from pathlib import Path

import numpy as np
import numpy_scorer
import pytest
import tiny

from aipc.checkpoint import open_checkpoint

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
    scores = numpy_scorer.scores(folder, REFERENCE["ids"])
    np.testing.assert_allclose(scores[-2:], case["logits"], atol=1e-3)
    with open_checkpoint(folder) as checkpoint:
        assert "tensors for images or sound" in checkpoint.notes[0]
