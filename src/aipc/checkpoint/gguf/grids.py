"""The block formats of GGUF that are a grid of whole numbers: Q4_0 and Q8_0.

A block has a float16 scale and 32 codes: of Q4_0 the first half in the low bits of 16 bytes, the
second in the high ones, 8 meaning 0; of Q8_0 signed bytes (ggml's ``block_q4_0``, ``block_q8_0``).
"""

from __future__ import annotations

import numpy as np

from aipc.checkpoint.tensors import Bytes, Grid, GridCodes

BLOCK = 32
_SCALE_BYTES = 2
GRIDS = {"Q4_0": Grid(4, BLOCK, True), "Q8_0": Grid(8, BLOCK, True)}


def block_codes(raw: Bytes, dtype: str) -> GridCodes:
    """The codes of whole rows, of one of `GRIDS`; ``raw`` is uint8 [n, bytes of a row]."""
    rows = len(raw)
    blocks = raw.reshape(rows, -1, _SCALE_BYTES + BLOCK * GRIDS[dtype].bits // 8)
    scale = np.ascontiguousarray(blocks[..., :_SCALE_BYTES]).view("<f2")[..., 0]
    packed = blocks[..., _SCALE_BYTES:]
    if dtype == "Q8_0":
        codes = packed ^ np.uint8(128)
    else:
        codes = np.concatenate([packed & np.uint8(15), packed >> np.uint8(4)], axis=-1)
    return GridCodes(codes.reshape(rows, -1), scale.astype(np.float32))
