"""What the numpy forward pass that calibration uses makes of a checkpoint."""

from __future__ import annotations

import numpy as np

from aipc.checkpoint import open_checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.convert.quantizers.activations import logits, matrix_inputs, read_matrix


def scores(path, ids):
    """Of the next token at each position of ``ids``, float32 [tokens, vocabulary]."""
    with open_checkpoint(path) as checkpoint:
        return network_scores(checkpoint, read_network(checkpoint), ids)


def network_scores(weights, network, ids):
    """The same of a network with these weights."""
    *_, (head, inputs) = matrix_inputs(weights, network, np.array([ids]))
    return logits(weights, network, inputs @ read_matrix(weights, head).T)
