from __future__ import annotations

import numpy as np
import pytest
import reference
import tiny

from aipc.checkpoint import open_checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.convert.quantizers import activations
from aipc.convert.quantizers.activations import matrix_inputs, read_matrix, row_ranges


def reached(checkpoint, network, ids):
    """The shapes of what reached each matrix, by name, and what reached the last."""
    shapes, inputs = {}, None
    for matrix, inputs in matrix_inputs(checkpoint, network, ids):
        shapes[matrix.name] = inputs.shape
    return shapes, inputs


@pytest.mark.parametrize("name", sorted(tiny.CONFIGS))
def test_what_reaches_the_head_is_what_the_reference_computes(tiny_checkpoint, name):
    folder, config, tensors = tiny_checkpoint(name)
    tokens = 10  # below every rotary switch
    ids = np.random.default_rng(1).integers(0, 250, (3, tokens))
    with open_checkpoint(folder) as checkpoint:
        network = read_network(checkpoint)
        shapes, inputs = reached(checkpoint, network, ids)
        logits = (inputs @ read_matrix(checkpoint, network.head).T).reshape(3, tokens, -1)
    for window, found in zip(ids, logits, strict=True):
        assert np.abs(found - reference.logits(config, tensors, window)).max() < 2e-3
    blocks = [matrix for block in network.blocks for matrix in block.matrices]
    assert list(shapes) == [matrix.name for matrix in [*blocks, network.head]]
    assert all(shapes[matrix.name] == (ids.size, matrix.columns) for matrix in blocks)


def test_weights_read_a_row_at_a_time_give_the_same(tiny_checkpoint, monkeypatch):
    ids = np.random.default_rng(1).integers(0, 250, (2, 8))
    with open_checkpoint(tiny_checkpoint("llama-gqa")[0]) as checkpoint:
        network = read_network(checkpoint)
        _, whole = reached(checkpoint, network, ids)
        monkeypatch.setattr(activations, "READ_WEIGHTS", 150)
        _, piecewise = reached(checkpoint, network, ids)
    assert np.abs(whole - piecewise).max() < 1e-4


def test_rows_of_a_stacked_matrix_reach_over_its_tensors(tiny_checkpoint):
    with open_checkpoint(tiny_checkpoint("llama-gqa")[0]) as checkpoint:
        matrix = read_network(checkpoint).blocks[0].mixer.query_key_value
        whole = np.concatenate([checkpoint.rows(tensor) for tensor in matrix.tensors])
        assert len(matrix.tensors) == 3
        for start, stop in [(0, matrix.rows), (60, 100), (70, 71), (5, 9)]:
            assert np.array_equal(read_matrix(checkpoint, matrix, start, stop), whole[start:stop])


@pytest.mark.parametrize(
    ("rows", "columns", "ranges"),
    [(5, 10, [(0, 2), (2, 4), (4, 5)]), (2, 100, [(0, 1), (1, 2)]), (2, 2, [(0, 2)])],
)
def test_row_ranges_hold_so_many_weights_or_a_row(rows, columns, ranges):
    assert list(row_ranges(rows, columns, 20)) == ranges
