from __future__ import annotations

import numpy as np
import pytest
import reference
import tiny
from replaced import Replaced

from aipc.checkpoint import open_checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.convert.quantizers.activations import matrix_inputs, read_matrix
from aipc.convert.quantizers.attention import read_vector
from aipc.convert.quantizers.awq import (
    POWERS,
    Folded,
    channel_scale,
    choose_scales,
    foldable,
    output_errors,
)
from aipc.convert.quantizers.calibrated import PREPARE, quantize_calibrated
from aipc.convert.quantizers.rtn import dequantize
from aipc.convert.quantizers.search import importance_of
from aipc.convert.recipe import Encoding
from aipc.errors import ConversionError

IDS = np.random.default_rng(4).integers(0, 250, (16, 64))
HELD_OUT = np.random.default_rng(5).integers(0, 250, (4, 64))


@pytest.fixture
def opened(uneven_checkpoint):
    with open_checkpoint(uneven_checkpoint("llama-gqa")[0]) as checkpoint:
        yield checkpoint, read_network(checkpoint)


def every(network, encoding):
    return {matrix.name: encoding for matrix in network.matrices()}


def test_a_scale_is_a_power_of_the_root_mean_square():
    importance = np.square(np.array([1, 2, 4], np.float32))
    assert np.allclose(channel_scale(importance, 1.0), [0.5, 1, 2])
    assert np.allclose(channel_scale(importance, 0.5), [0.5**0.5, 1, 2**0.5])
    assert np.array_equal(channel_scale(importance, 0.0), np.ones(3))


def test_channels_that_nothing_reaches_get_a_scale_all_the_same():
    scale = channel_scale(np.array([0, 1, 1], np.float32), POWERS[-1])
    assert 0 < scale[0] < scale[1] < 100
    assert np.array_equal(channel_scale(np.zeros(3, np.float32), 0.3), np.ones(3))


@pytest.mark.parametrize("sym", [True, False])
def test_a_power_pays_where_channels_differ_and_only_there(sym):
    random = np.random.default_rng(6)
    rows = random.standard_normal((64, 128)).astype(np.float32)
    even = random.standard_normal((256, 128)).astype(np.float32)
    uneven = even * np.exp(2 * random.standard_normal(128)).astype(np.float32)
    errors = {
        name: output_errors(rows, inputs, importance_of(inputs), Encoding(4, 64, sym))
        for name, inputs in [("even", even), ("uneven", uneven)]
    }
    assert errors["uneven"].min() < 0.95 * errors["uneven"][0]
    assert errors["even"].min() > 0.97 * errors["even"][0]


def test_only_what_can_be_folded_and_has_four_bits_gets_a_scale(opened):
    checkpoint, network = opened
    encodings = every(network, Encoding(4, 32))
    kept = network.blocks[1].feed_forward.gate_up
    encodings[kept.name] = Encoding(8, kept.columns)
    scales = choose_scales(checkpoint, network, encodings, IDS)
    able = {matrix.name: matrix for block in network.blocks for matrix in foldable(block)}
    assert {network.blocks[0].mixer.query_key_value.name, kept.name} & set(scales) == {
        network.blocks[0].mixer.query_key_value.name
    }
    assert set(scales) <= set(able)
    for name, scale in scales.items():
        assert scale.shape == (able[name].columns,)
        assert scale.dtype == np.float32


@pytest.mark.parametrize("sym", [True, False])
def test_folded_matrices_lose_less_on_text_they_were_not_chosen_on(opened, sym):
    checkpoint, network = opened
    encodings = every(network, Encoding(4, 32, sym))

    def losses(weights):
        """The output error of each matrix, as a share of its output."""
        codes = dict(quantize_calibrated(weights, network, encodings, IDS, PREPARE["awq"]))
        found = {}
        for matrix, inputs in matrix_inputs(weights, network, HELD_OUT):
            rows = read_matrix(weights, matrix)
            lost = inputs @ (dequantize(codes[matrix]) - rows).T
            found[matrix.name] = np.square(lost).sum() / np.square(inputs @ rows.T).sum()
        return found

    scales = choose_scales(checkpoint, network, encodings, IDS)
    before, after = losses(checkpoint), losses(Folded(checkpoint, network, scales))
    assert len(scales) >= 4
    assert sum(after[name] for name in scales) < 0.95 * sum(before[name] for name in scales)
    for name in set(before) - set(scales):
        assert after[name] == pytest.approx(before[name], rel=0.02)


def test_a_bad_weight_is_named(opened):
    checkpoint, network = opened
    matrix = network.blocks[1].feed_forward.down
    bad = np.full((matrix.rows, matrix.columns), 1e7, np.float32)
    replaced = Replaced(checkpoint, network, {matrix.name: bad})
    with pytest.raises(ConversionError, match=r"layers\.1\.mlp\.down_proj.*4-bit"):
        choose_scales(replaced, network, every(network, Encoding(4, 32)), IDS)


TOKENS = 10  # below every rotary switch
RANDOM = np.random.default_rng(2)
IDS_FOLDING = RANDOM.integers(0, 250, (3, TOKENS))


def random_scales(network, matrices=foldable):
    """Scales that differ a hundredfold within a matrix, by the matrix's name."""
    return {
        matrix.name: np.exp(RANDOM.uniform(-2.3, 2.3, matrix.columns)).astype(np.float32)
        for block in network.blocks
        for matrix in matrices(block)
    }


@pytest.mark.parametrize("name", sorted(tiny.CONFIGS))
def test_folding_changes_the_weights_and_not_the_logits(name, tiny_checkpoint):
    folder, config, tensors = tiny_checkpoint(name)
    with open_checkpoint(folder) as checkpoint:
        network = read_network(checkpoint)
        folded = Folded(checkpoint, network, random_scales(network))
        for matrix in foldable(network.blocks[1]):
            assert not np.allclose(read_matrix(folded, matrix), read_matrix(checkpoint, matrix))
        *_, (head, inputs) = matrix_inputs(folded, network, IDS_FOLDING)
        logits = (inputs @ read_matrix(folded, head).T).reshape(3, TOKENS, -1)
    for window, found in zip(IDS_FOLDING, logits, strict=True):
        assert np.abs(found - reference.logits(config, tensors, window)).max() < 2e-3


@pytest.mark.parametrize("name", ["phi3", "qwen2", "gemma"])
def test_what_reaches_a_folded_matrix_is_divided_by_its_scale(name, tiny_checkpoint):
    with open_checkpoint(tiny_checkpoint(name)[0]) as checkpoint:
        network = read_network(checkpoint)
        scales = random_scales(network)
        folded = Folded(checkpoint, network, scales)
        pairs = zip(
            matrix_inputs(checkpoint, network, IDS_FOLDING),
            matrix_inputs(folded, network, IDS_FOLDING),
            strict=True,
        )
        for (matrix, before), (_, after) in pairs:
            wanted = before / scales.get(matrix.name, np.float32(1))
            assert np.allclose(after, wanted, rtol=1e-3, atol=1e-4), matrix.name


def test_a_matrix_without_a_scale_still_makes_what_the_next_expects(tiny_checkpoint):
    """Gate and up that keep their columns, before a folded down."""
    with open_checkpoint(tiny_checkpoint("phi3")[0]) as checkpoint:
        network = read_network(checkpoint)
        scales = random_scales(network, lambda block: [block.feed_forward.down])
        folded, block = Folded(checkpoint, network, scales), network.blocks[0]
        before, after = (
            read_matrix(weights, block.feed_forward.gate_up) for weights in (checkpoint, folded)
        )
        weight = read_vector(folded, block.feed_forward_norm)
        assert np.array_equal(weight, read_vector(checkpoint, block.feed_forward_norm))
    inner = block.feed_forward.down.columns
    assert np.array_equal(after[:inner], before[:inner])
    assert np.allclose(
        after[inner:] * scales[block.feed_forward.down.name][:, None], before[inner:]
    )


@pytest.mark.parametrize("name", ["phi3", "llama-gqa"])
def test_some_rows_are_those_of_the_whole(name, tiny_checkpoint):
    with open_checkpoint(tiny_checkpoint(name)[0]) as checkpoint:
        network = read_network(checkpoint)
        folded = Folded(checkpoint, network, random_scales(network))
        matrix = network.blocks[0].feed_forward.gate_up
        whole, inner = read_matrix(folded, matrix), matrix.rows // 2
        for start, stop in [(0, 3), (inner - 2, inner + 5), (inner + 1, matrix.rows)]:
            assert np.array_equal(read_matrix(folded, matrix, start, stop), whole[start:stop])
