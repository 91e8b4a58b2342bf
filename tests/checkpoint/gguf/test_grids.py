from __future__ import annotations

import numpy as np
import pytest

from aipc.checkpoint import open_checkpoint
from aipc.checkpoint.gguf.grids import GRIDS, block_codes

Q = "model.layers.0.self_attn.q_proj.weight"


def weights(found, bits):
    grouped = found.codes.reshape(*found.scale.shape, -1).astype(np.float32) - (1 << (bits - 1))
    return (grouped * found.scale[..., None]).reshape(found.codes.shape)


@pytest.mark.parametrize("kind", GRIDS)
def test_codes_and_scales_make_what_the_gguf_package_decodes(kind, rng):
    from gguf import GGMLQuantizationType, quants

    raw = quants.quantize(rng.standard_normal((6, 96), np.float32), GGMLQuantizationType[kind])
    found = block_codes(raw, kind)
    assert found.scale.shape == (6, 3)
    expected = quants.dequantize(raw, GGMLQuantizationType[kind])
    np.testing.assert_array_equal(weights(found, GRIDS[kind].bits), expected)


@pytest.mark.parametrize("kind", GRIDS)
def test_rows_that_llama_cpp_permutes_are_in_the_checkpoints_order(kind, make_gguf, rng):
    from gguf import GGMLQuantizationType, quants

    values = rng.standard_normal((32, 32), np.float32)
    raw = quants.quantize(values, GGMLQuantizationType[kind])
    checkpoint = open_checkpoint(make_gguf({"blk.0.attn_q.weight": (raw, kind)}))
    assert checkpoint.grid(Q) == GRIDS[kind]
    found = checkpoint.codes(Q, 3, 21)
    np.testing.assert_array_equal(weights(found, GRIDS[kind].bits), checkpoint.rows(Q, 3, 21))


def test_floats_and_other_blocks_are_on_no_grid(make_gguf, rng):
    from gguf import GGMLQuantizationType, quants

    raw = quants.quantize(rng.standard_normal((32, 32), np.float32), GGMLQuantizationType.Q4_1)
    checkpoint = open_checkpoint(make_gguf({"blk.0.attn_q.weight": (raw, "Q4_1")}))
    assert checkpoint.grid(Q) is None
    assert checkpoint.grid("model.norm.weight") is None
