"""Checkpoints whose weights a test has changed."""

from __future__ import annotations

import numpy as np


class Replaced:
    """Weights some of whose matrices are others, given by name."""

    def __init__(self, checkpoint, network, weights):
        self.tensors, self.checkpoint, self.own = checkpoint.tensors, checkpoint, {}
        for matrix in network.matrices():
            if matrix.name in weights:
                edges = np.cumsum([self.tensors[tensor].shape[0] for tensor in matrix.tensors])
                parts = np.split(weights[matrix.name], edges[:-1])
                self.own |= dict(zip(matrix.tensors, parts, strict=True))

    def rows(self, name, start=0, stop=None):
        if name in self.own:
            return self.own[name][start:stop]
        return self.checkpoint.rows(name, start, stop)
