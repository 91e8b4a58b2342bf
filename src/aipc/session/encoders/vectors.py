"""What becomes of a text's pooled vector: sentence-transformers' Dense and Normalize modules.

They are computed here, beside the graph: few numbers, in float32, the same for every runtime, and a
model without a Dense keeps the graph that the vendors' own pipelines pool.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from aipc.artifact.sentence_modules import Dense, Step
from aipc.checkpoint.safetensors import SafetensorsFile
from aipc.convert.quantizers.attention import sigmoid, silu
from aipc.errors import CheckpointError

Floats = npt.NDArray[np.float32]


class VectorSteps:
    """The modules behind a pooling, their weights loaded; ``width`` is that of the last vectors."""

    def __init__(self, steps: Sequence[Step], width: int) -> None:
        """Load ``steps`` for vectors of ``width`` numbers.

        Raises:
            CheckpointError: weights are damaged, or of other sizes.
        """
        self._steps: list[Callable[[Floats], Floats]] = []
        self.width = width
        for step in steps:
            if isinstance(step, Dense):
                self._steps.append(_Layer(step, self.width))
                self.width = step.rows
            else:
                self._steps.append(of_length_one)

    def __call__(self, vectors: Floats) -> Floats:
        """Float32 [texts, width]."""
        for step in self._steps:
            vectors = step(vectors)
        return vectors


class _Layer:
    def __init__(self, dense: Dense, width: int) -> None:
        if dense.columns != width:
            raise _misfit(dense, f"takes {dense.columns} numbers, and vectors have {width}")
        self._file = SafetensorsFile(dense.weights)
        self._dense = dense
        whole = dense.rows, dense.columns
        self._matrix = self._read("linear.weight", whole)
        self._bias = self._read("linear.bias", whole[:1]) if dense.has_bias else np.float32(0)
        projects = dense.residual and dense.rows != dense.columns
        self._residual = self._read("residual.weight", whole) if projects else None

    def __call__(self, vectors: Floats) -> Floats:
        found = _ACTIVATIONS[self._dense.activation](vectors @ self._matrix.T + self._bias)
        if self._dense.residual:
            found = found + (vectors if self._residual is None else vectors @ self._residual.T)
        return found

    def _read(self, name: str, shape: tuple[int, ...]) -> Floats:
        stored = self._file.tensors.get(name)
        if stored is None or stored.shape != shape:
            has = "no such tensor" if stored is None else list(stored.shape)
            raise _misfit(self._dense, f"should have {name} {list(shape)}, has {has}")
        return self._file.rows(name, 0, shape[0])


def _misfit(dense: Dense, what: str) -> CheckpointError:
    return CheckpointError(f"'{dense.weights}' {what}", "take files of the same model")


def of_length_one(vectors: Floats) -> Floats:
    """Each over its length; one of length 0 stays so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit


def _gelu(values: Floats) -> Floats:
    erf = np.vectorize(math.erf, otypes=[np.float32])
    found: Floats = values * np.float32(0.5) * (1 + erf(values * np.float32(0.5**0.5)))
    return found


_ACTIVATIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "identity": lambda values: values,
    "tanh": np.tanh,
    "relu": lambda values: np.maximum(values, 0),
    "gelu": _gelu,
    "silu": silu,
    "sigmoid": sigmoid,
}
