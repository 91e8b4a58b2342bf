"""Dense modules whose weights are not those that their settings state."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_encoder import write_dense

from aipc.artifact.sentence_modules import Dense, Normalize
from aipc.errors import CheckpointError
from aipc.session.encoders.vectors import VectorSteps


def dense(folder, **stated):
    write_dense(folder, 8, out_features=4)
    sizes = {"rows": 4, "columns": 8, "has_bias": True} | stated
    return Dense(folder / "model.safetensors", activation="tanh", residual=False, **sizes)


def test_widths_follow_from_the_modules(tmp_path):
    steps = VectorSteps([Normalize(), dense(tmp_path)], 8)
    assert steps.width == 4
    assert steps(np.ones((3, 8), np.float32)).shape == (3, 4)


@pytest.mark.parametrize(
    ("stated", "width", "match"),
    [
        ({}, 6, "takes 8 numbers, and vectors have 6"),
        ({"columns": 6}, 6, r"should have linear.weight \[4, 6\], has \[4, 8\]"),
        ({"rows": 5}, 8, r"should have linear.weight \[5, 8\]"),
    ],
)
def test_other_sizes_are_refused(stated, width, match, tmp_path):
    with pytest.raises(CheckpointError, match=match):
        VectorSteps([dense(tmp_path, **stated)], width)


def test_a_bias_that_is_not_there(tmp_path):
    write_dense(tmp_path, 8, out_features=4, bias=False)
    one = Dense(tmp_path / "model.safetensors", 4, 8, True, "tanh", False)
    with pytest.raises(CheckpointError, match=r"linear\.bias \[4\], has no such tensor"):
        VectorSteps([one], 8)
