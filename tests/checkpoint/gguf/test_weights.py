import numpy as np
import pytest

from aipc.checkpoint.gguf.file import GgufFile
from aipc.checkpoint.gguf.weights import GgufWeights
from aipc.errors import CheckpointError

Q, K, V = (f"model.layers.0.self_attn.{name}_proj.weight" for name in "qkv")


def permute(weights, heads):
    """As llama.cpp's converter writes q and k of the llama architecture."""
    head_size = weights.shape[0] // heads
    halves = weights.reshape(heads, 2, head_size // 2, *weights.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weights.shape))


@pytest.fixture
def projections(rng):
    """q, k and v as a checkpoint has them: 4 heads of 8, of which 2 for keys and values."""
    shapes = {Q: (32, 32), K: (16, 32), V: (16, 32)}
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


@pytest.fixture
def llama(make_gguf, projections):
    stored = {
        "blk.0.attn_q.weight": permute(projections[Q], 4),
        "blk.0.attn_k.weight": permute(projections[K], 2),
        "blk.0.attn_v.weight": projections[V],
    }
    return GgufWeights(GgufFile(make_gguf(stored)))


@pytest.mark.parametrize("name", [Q, K, V])
def test_llama_projections_come_in_the_checkpoints_order(llama, projections, name):
    expected = projections[name]
    for start in range(len(expected)):
        for stop in range(start, len(expected) + 1):
            np.testing.assert_array_equal(llama.rows(name, start, stop), expected[start:stop])


def test_biases_are_put_back_in_order_too(make_gguf, rng):
    bias = rng.standard_normal(32, np.float32)
    weights = GgufWeights(GgufFile(make_gguf({"blk.0.attn_q.bias": permute(bias, 4)})))
    rows = weights.rows("model.layers.0.self_attn.q_proj.bias", 3, 30)
    np.testing.assert_array_equal(rows, bias[3:30])


def test_quantized_projections_are_put_back_in_order_too(make_gguf, projections):
    from gguf import GGMLQuantizationType, quants

    raw = quants.quantize(permute(projections[Q], 4), GGMLQuantizationType.Q8_0)
    weights = GgufWeights(GgufFile(make_gguf({"blk.0.attn_q.weight": (raw, "Q8_0")})))
    np.testing.assert_allclose(weights.rows(Q, 5, 19), projections[Q][5:19], atol=0.02)


def test_other_architectures_are_stored_as_they_are(make_gguf, projections):
    stored = {"blk.0.attn_q.weight": projections[Q]}
    weights = GgufWeights(GgufFile(make_gguf(stored, general__architecture="qwen2")))
    np.testing.assert_array_equal(weights.rows(Q, 0, 32), projections[Q])


def test_the_head_count_of_keys_defaults_to_that_of_queries(make_gguf, projections):
    stored = {"blk.0.attn_k.weight": permute(projections[K], 4)}
    path = make_gguf(stored, arch__attention__head_count_kv=None)
    weights = GgufWeights(GgufFile(path))
    np.testing.assert_array_equal(weights.rows(K, 0, 16), projections[K])


def test_heads_that_do_not_divide_a_projection(make_gguf):
    with pytest.raises(CheckpointError, match=r"5 heads do not divide .*q_proj.weight' \(32, 32\)"):
        GgufWeights(GgufFile(make_gguf(arch__attention__head_count=5)))


def test_lists_tensors_by_their_new_names_and_rotary_factors_not_at_all(make_gguf):
    path = make_gguf({"rope_freqs.weight": np.ones(4, np.float32)})
    weights = GgufWeights(GgufFile(path))
    assert weights.tensors[K].name == K
    assert weights.tensors[K].shape == (16, 32)
    assert not [name for name in weights.tensors if "rope" in name]
    assert weights.paths == (path,)


def test_rows_and_tensors_that_are_not_there(llama):
    with pytest.raises(CheckpointError, match="rows 0 to 33 asked of tensor"):
        llama.rows(Q, 0, 33)
    with pytest.raises(CheckpointError, match=r"no tensor 'lm_head.weight'"):
        llama.rows("lm_head.weight", 0, 1)


def test_the_real_models_weights_lie_on_their_four_bit_grid(smollm_gguf):
    weights = GgufWeights(GgufFile(smollm_gguf))
    assert len(weights.tensors) == 272
    rows = weights.rows(Q, 60, 70)
    assert rows.shape == (10, 576)
    assert len(np.unique(rows[0, :32])) <= 16
    assert 0.01 < rows.std() < 1
