from __future__ import annotations

import numpy as np
import pytest
import reference
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.convert.families import read_network
from aipc.convert.quantizers.activations import matrix_inputs, read_matrix, read_vector
from aipc.convert.quantizers.folding import Folded, foldable

TOKENS = 10  # below every rotary switch
RANDOM = np.random.default_rng(2)
IDS = RANDOM.integers(0, 250, (3, TOKENS))


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
        *_, (head, inputs) = matrix_inputs(folded, network, IDS)
        logits = (inputs @ read_matrix(folded, head).T).reshape(3, TOKENS, -1)
    for window, found in zip(IDS, logits, strict=True):
        assert np.abs(found - reference.logits(config, tensors, window)).max() < 2e-3


@pytest.mark.parametrize("name", ["phi3", "qwen2", "gemma"])
def test_what_reaches_a_folded_matrix_is_divided_by_its_scale(name, tiny_checkpoint):
    with open_checkpoint(tiny_checkpoint(name)[0]) as checkpoint:
        network = read_network(checkpoint)
        scales = random_scales(network)
        folded = Folded(checkpoint, network, scales)
        pairs = zip(
            matrix_inputs(checkpoint, network, IDS),
            matrix_inputs(folded, network, IDS),
            strict=True,
        )
        for (matrix, before), (_, after) in pairs:
            wanted = before / scales.get(matrix.name, np.float32(1))
            assert np.allclose(after, wanted, rtol=1e-3, atol=1e-4), matrix.name


def test_a_matrix_without_a_scale_still_makes_what_the_next_expects(tiny_checkpoint):
    """Gate and up that keep their columns, before a folded down."""
    with open_checkpoint(tiny_checkpoint("phi3")[0]) as checkpoint:
        network = read_network(checkpoint)
        scales = random_scales(network, lambda block: [block.down])
        folded, block = Folded(checkpoint, network, scales), network.blocks[0]
        before, after = (read_matrix(weights, block.gate_up) for weights in (checkpoint, folded))
        gain = read_vector(folded, block.feed_forward_norm)
        assert np.array_equal(gain, read_vector(checkpoint, block.feed_forward_norm))
    inner = block.down.columns
    assert np.array_equal(after[:inner], before[:inner])
    assert np.allclose(after[inner:] * scales[block.down.name][:, None], before[inner:])


@pytest.mark.parametrize("name", ["phi3", "llama-gqa"])
def test_some_rows_are_those_of_the_whole(name, tiny_checkpoint):
    with open_checkpoint(tiny_checkpoint(name)[0]) as checkpoint:
        network = read_network(checkpoint)
        folded = Folded(checkpoint, network, random_scales(network))
        matrix = network.blocks[0].gate_up
        whole, inner = read_matrix(folded, matrix), matrix.rows // 2
        for start, stop in [(0, 3), (inner - 2, inner + 5), (inner + 1, matrix.rows)]:
            assert np.array_equal(read_matrix(folded, matrix, start, stop), whole[start:stop])
