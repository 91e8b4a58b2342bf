"""Tiny networks that read whole texts, with what transformers answers for them.

`tests/convert/encoders` holds, for each, its config, the shapes of its tensors, and the hidden
states or scores of two sequences: `make_encoders.py` there wrote them, with torch.  The weights are
drawn here, so that they need not be kept.
"""

from __future__ import annotations

import zlib
from functools import cached_property
from pathlib import Path

import networks
import numpy as np
import tiny

FOLDER = Path(__file__).parent.parent / "convert" / "encoders"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
VOCABULARY = 260
FIRST = 5
"""The least id of a text's tokens: those below are special."""
TRUE, FALSE = 17, 42
"""The tokens whose difference is the score of who has no other head."""
_RNG = np.random.default_rng(3)
LONG = [int(one) for one in _RNG.integers(FIRST, VOCABULARY, 24)]
SHORT = [int(one) for one in _RNG.integers(FIRST, VOCABULARY, 9)]
SECOND = 12
"""The token of `LONG` with which a pair's second text begins."""


def draw(name, shape):
    """A float16 number for each weight, in float32."""
    rng = np.random.default_rng([7, zlib.crc32(name.encode())])
    values = rng.standard_normal(shape)
    if len(shape) > 1:
        spread = 1.0 if "embed" in name else 2.0 / np.sqrt(shape[1])
        return tiny.as_float16(spread * values)
    is_norm = "norm" in name.lower() and name.endswith("weight")
    return tiny.as_float16((1.0 if is_norm else 0.0) + 0.2 * values)


def batch():
    """Ids, mask and types, i64 [2, tokens]: `LONG`, and `SHORT` with padding behind it."""
    ids = np.full((2, len(LONG)), 1, np.int64)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    for row, tokens in enumerate((LONG, SHORT)):
        ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
    types[0, SECOND:] = 1
    return ids, mask, types


class Expected(networks.Stated):
    """What transformers says, in float32."""

    folder = FOLDER

    @cached_property
    def states(self):
        """Hidden states [tokens of both, hidden], or scores [2, 1]."""
        with np.load(FOLDER / "states.npz") as file:
            return file[self.name]

    def tensors(self):
        return {name: draw(name, shape) for name, shape in self._stated["shapes"].items()}
