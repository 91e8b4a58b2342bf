"""Quantizers: rows of float32 weights in, integer codes and their scales out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.errors import ConversionError

SYMMETRIC_CODES = {4: (-8, 7), 8: (-127, 127)}
"""Least and greatest code.  Never -128: with it OpenVINO's CPU kernels give wrong results when they
quantize activations too (measured with 2026.4.1)."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Quantized:
    """Codes [n, k] (int8 when symmetric, else uint8) and, one per group, scale and zero point.

    A weight is ``(code - zero) * scale``; ``scale`` is float16 [n, k / group],
    ``zero`` uint8 of the same shape, None when symmetric.
    """

    codes: npt.NDArray[Any]
    scale: npt.NDArray[np.float16]
    zero: npt.NDArray[np.uint8] | None


def symmetric(rows: Floats, bits: int, group: int) -> Quantized:
    """Round to nearest; the weight of largest magnitude becomes the least code.

    The scale carries the sign of that weight, negated, so that the whole range is used:
    the method of NNCF's data-free INT4_SYM and of llama.cpp's Q4_0.

    Args:
        rows: float32 [n, k], k a multiple of ``group``.
        bits: 4 or 8.
        group: weights that share one scale.

    Raises:
        FloatingPointError: when a weight is no number or its scale exceeds float16.
    """
    grouped = rows.reshape(-1, group)
    high, low = grouped.max(axis=1), grouped.min(axis=1)
    extreme = np.where(high > -low, high, low)
    scale = float16_scale(extreme / np.float32(SYMMETRIC_CODES[bits][0]))
    return round_to(rows, scale.reshape(len(rows), -1), None, bits)


def asymmetric(rows: Floats, bits: int, group: int) -> Quantized:
    """Round to nearest between the group's least and greatest weight, 0 always included.

    The method of NNCF's data-free INT4_ASYM and INT8_ASYM.  Arguments and errors are
    those of `symmetric`.
    """
    grouped = rows.reshape(-1, group)
    low = np.minimum(grouped.min(axis=1), 0)
    high = np.maximum(grouped.max(axis=1), 0)
    top = 2**bits - 1
    scale = float16_scale((high - low) / np.float32(top))
    zero = np.clip(np.rint(-low * reciprocal(scale)), 0, top)
    shape = len(rows), -1
    return round_to(rows, scale.reshape(shape), zero.reshape(shape), bits)


def round_to(
    rows: Floats, scale: npt.NDArray[np.float16], zero: Floats | None, bits: int
) -> Quantized:
    """The nearest codes of rows [n, k] on given scales and zero points, each [n, groups].

    ``zero`` holds whole numbers; None: symmetric.
    """
    codes = rows.reshape(*scale.shape, -1) * reciprocal(scale)[..., None]
    if zero is not None:
        codes += zero[..., None]
    np.rint(codes, out=codes)
    np.clip(codes, *code_range(bits, zero is None), out=codes)
    return Quantized(
        codes.astype(np.int8 if zero is None else np.uint8).reshape(rows.shape),
        scale,
        None if zero is None else zero.astype(np.uint8),
    )


def code_range(bits: int, sym: bool) -> tuple[int, int]:
    """The least and greatest code."""
    return SYMMETRIC_CODES[bits] if sym else (0, 2**bits - 1)


def dequantize(quantized: Quantized) -> Floats:
    """The float32 weights [n, k] of the codes."""
    n, groups = quantized.scale.shape
    codes = quantized.codes.reshape(n, groups, -1).astype(np.float32)
    if quantized.zero is not None:
        codes -= quantized.zero[:, :, None]
    weights: Floats = codes * quantized.scale[:, :, None].astype(np.float32)
    return weights.reshape(n, -1)


def pack_nibbles(codes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Two 4-bit codes a byte, the first in the low half; an odd count gets a zero at its end."""
    flat = np.ascontiguousarray(codes).reshape(-1).view(np.uint8)
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    pairs = flat.view("<u2")
    packed = pairs >> 4
    packed &= 0xF0
    packed |= pairs & 0xF
    return packed.astype(np.uint8)


def float16_scale(scale: Floats) -> npt.NDArray[np.float16]:
    """Scales as stored, in float16.

    Raises:
        FloatingPointError: one is not finite in float16.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = scale.astype(np.float16)
    if not np.isfinite(narrow).all():
        raise FloatingPointError("a weight is not a number or too large for a float16 scale")
    return narrow


def reciprocal(values: npt.NDArray[Any]) -> Floats:
    """1 / values in float32; 0 where a value is 0."""
    wide = values.astype(np.float32, copy=False)
    return np.divide(1, wide, out=np.zeros_like(wide), where=wide != 0)


class InfiniteInputs(FloatingPointError):
    """A matrix's inputs, or their squares, are no finite numbers: sound weights may overflow."""


@contextmanager
def naming(tensor: str, bits: int) -> Iterator[None]:
    """Name the tensor whose weights, or inputs, a quantizer refuses.

    Raises:
        ConversionError: in place of FloatingPointError.
    """
    try:
        yield
    except InfiniteInputs as error:
        raise ConversionError(
            f"what reaches {tensor} leaves float32's range, so no scales can be searched for it",
            "give --quantizer rtn, which does not run the network",
        ) from error
    except FloatingPointError as error:
        raise ConversionError(
            f"{tensor} has weights that {bits}-bit formats can't hold ({error})",
            "the checkpoint is damaged or needs bfloat16",
        ) from error
