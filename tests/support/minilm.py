"""all-MiniLM-L6-v2, a small real model that makes embeddings, and sentence-transformers' vectors.

The package index has it in a wheel: no hub, no account.  `tests/session/encoders/make_minilm.py`
wrote the vectors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aipc.models.catalogue import CATALOGUE

SOURCE = CATALOGUE["all-minilm-l6-v2"].source
VECTORS = Path(__file__).parent.parent / "session" / "encoders" / "minilm.npz"
_WORDS = (
    "the a river bank money lends to who asks for it and winter summer stone bread Brot pain хлеб "
    "面包 don't U.S.A. e-mail 3.14 1,000 colour naïve café ÅNGSTRÖM snake_case camelCase "
    "http://example.org/a?b"
)


def texts():
    """100 of different lengths, some longer than the model takes; always the same."""
    rng = np.random.default_rng(5)
    counts = [1 + int(150 * (at / 100) ** 2) for at in range(100)]
    return [" ".join(rng.choice(_WORDS.split(), size=count)) for count in counts]


def vectors():
    """float32 [100, 384] of length 1, as sentence-transformers makes them."""
    with np.load(VECTORS) as file:
        found = file["vectors"].astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)
