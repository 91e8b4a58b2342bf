"""Whole numbers of a few bits out of the 32-bit words that they are packed into."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.checkpoint.tensors import Floats

Codes = npt.NDArray[np.uint8]
WORD = 32


def unpack(words: npt.NDArray[Any], bits: int) -> Codes:
    """Codes of 2, 3, 4 or 8 bits, packed densely from the low bits up.

    ``words`` are 32-bit [n, w]; the codes are uint8 [n, w * 32 / bits].
    """
    packed = np.ascontiguousarray(words)
    if bits == 3:
        return _unpack_three(packed.view(np.uint32))
    whole = packed.view(np.uint8)
    return whole if bits == 8 else unpack_bytes(whole, bits)


def unpack_bytes(packed: Codes, bits: int) -> Codes:
    """Codes of 2 or 4 bits out of bytes [n, b], the low bits first."""
    if bits == 2:
        shifts = np.array([0, 2, 4, 6], np.uint8)
        spread: Codes = packed[..., None] >> shifts & np.uint8(3)
        return spread.reshape(len(packed), -1)
    pairs = packed.astype(np.uint16)
    pairs |= pairs << 4
    pairs &= 0x0F0F
    return pairs.view(np.uint8).reshape(len(packed), -1)


def look_up(packed: Codes, values: Floats, first_is_low: bool) -> Floats:
    """The ``values`` [16] of two 4-bit codes a byte, float32 [2 * bytes]; both at a time."""
    low, high = np.tile(values, 16), np.repeat(values, 16)
    pairs = np.stack([low, high] if first_is_low else [high, low], axis=1)
    found = np.take(pairs.view(np.uint64).reshape(-1), packed.reshape(-1))
    return found.view(np.float32)


def _unpack_three(words: npt.NDArray[np.uint32]) -> Codes:
    """32 codes of three words, two of them across a border."""
    n, count = words.shape
    triples = words.reshape(n, count // 3, 3).astype(np.uint64)
    joined = triples[..., 0] | triples[..., 1] << np.uint64(WORD)
    codes = np.empty((n, count // 3, WORD), np.uint8)
    for index in range(WORD):
        shift = 3 * index
        if shift + 3 <= 2 * WORD:
            found = joined >> np.uint64(shift)
        elif shift < 2 * WORD:
            high = triples[..., 2] << np.uint64(2 * WORD - shift)
            found = joined >> np.uint64(shift) | high
        else:
            found = triples[..., 2] >> np.uint64(shift - 2 * WORD)
        codes[..., index] = found & np.uint64(7)
    return codes.reshape(n, -1)


def unpack_part(words: npt.NDArray[Any], bits: int, start: int, stop: int) -> Codes:
    """Codes [start, stop) of each row of ``words`` [n, w]; only what holds them is read."""
    per_block = WORD if bits == 3 else WORD // bits
    words_a_block = 3 if bits == 3 else 1
    first, last = start // per_block, -(-stop // per_block)
    part = words[:, first * words_a_block : last * words_a_block]
    return unpack(part, bits)[:, start - first * per_block : stop - first * per_block]
