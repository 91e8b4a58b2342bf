"""Quantizers whose scales are searched for least weighted error.

For several clipping ranges a group, the codes are rounded and the scale that fits them best in
the sense of weighted least squares is computed in closed form; the range with the least error
wins.  Weighting each squared error by the mean square of its input channel's activation is the
diagonal of the loss that GPTQ minimizes (Frantar et al. 2022, arXiv 2210.17323, equation 1); the
search over ranges with a refitted scale is that of llama.cpp's k-quants with importance matrix.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from aipc.convert.quantizers.rtn import (
    SYMMETRIC_CODES,
    Floats,
    Quantized,
    float16_scale,
    reciprocal,
)

RANGES = (1.0, 0.94, 0.88, 0.82, 0.76, 0.7, 0.64)
"""The ranges tried, as shares of the one that clips nothing."""


def searched_symmetric(
    rows: Floats, bits: int, group: int, importance: Floats | None = None
) -> Quantized:
    """Like `rtn.symmetric`; the scale is searched, in either direction of the code range.

    Args:
        rows: float32 [n, k], k a multiple of ``group``.
        bits: 4 or 8.
        group: weights that share one scale.
        importance: float32 [k], the weight of each column's squared error; None: all equal.

    Raises:
        FloatingPointError: when a weight is no number or its scale exceeds float16.
    """
    grouped = rows.reshape(rows.shape[0], -1, group)
    weight = _grouped_importance(importance, grouped)
    scale = float16_scale(_best_scale(grouped, weight, bits))
    codes = _signed_codes(grouped, reciprocal(scale)[:, :, None], bits)
    return Quantized(codes.astype(np.int8).reshape(rows.shape), scale, None)


def searched_asymmetric(
    rows: Floats, bits: int, group: int, importance: Floats | None = None
) -> Quantized:
    """Like `rtn.asymmetric`; range, scale and zero point are searched.

    Arguments and errors are those of `searched_symmetric`.
    """
    grouped = rows.reshape(rows.shape[0], -1, group)
    weight = _grouped_importance(importance, grouped)
    wide, zero = _best_scale_and_zero(grouped, weight, bits)
    scale = float16_scale(wide)
    codes = _unsigned_codes(grouped, reciprocal(scale)[:, :, None], zero[:, :, None], bits)
    return Quantized(codes.astype(np.uint8).reshape(rows.shape), scale, zero.astype(np.uint8))


def _best_scale(grouped: Floats, weight: Floats, bits: int) -> Floats:
    """The scale [n, groups] of least weighted squared error among the tried ones, refitted."""
    high, low = grouped.max(axis=2), grouped.min(axis=2)
    extreme = np.where(high > -low, high, low)
    full = float16_scale(extreme / np.float32(SYMMETRIC_CODES[bits][0])).astype(np.float32)
    weighted = grouped * weight
    best, explained = full, np.zeros(full.shape, np.float32)
    for share in _signed_shares(bits):
        codes = _signed_codes(grouped, reciprocal(full * share)[:, :, None], bits)
        fit = np.einsum("ngk,ngk->ng", codes, weighted)
        square = np.einsum("ngk,ngk,gk->ng", codes, codes, weight)
        reduction = fit * fit * reciprocal(square)
        better = reduction > explained
        best = np.where(better, fit * reciprocal(square), best)
        explained = np.where(better, reduction, explained)
    return best


def _signed_shares(bits: int) -> Iterable[np.float32]:
    """Shares of the scale; with 4 bits the extreme weight may take the greatest code as well."""
    for share in RANGES:
        yield np.float32(share)
        if bits == 4:
            yield np.float32(-share * 8 / 7)


def _best_scale_and_zero(grouped: Floats, weight: Floats, bits: int) -> tuple[Floats, Floats]:
    top = 2**bits - 1
    low = np.minimum(grouped.min(axis=2), 0)
    full = float16_scale((np.maximum(grouped.max(axis=2), 0) - low) / np.float32(top)).astype(
        np.float32
    )
    weighted = grouped * weight
    best, best_zero = full, np.clip(np.rint(-low * reciprocal(full)), 0, top)
    explained = np.zeros(full.shape, np.float32)
    for share in RANGES:
        tried = full * np.float32(share)
        inverse = reciprocal(tried)
        middle = np.rint(-low * np.float32((1 + share) / 2) * inverse)
        for shift in (-1, 0, 1):
            zero = np.clip(middle + np.float32(shift), 0, top)
            codes = _unsigned_codes(grouped, inverse[:, :, None], zero[:, :, None], bits)
            codes -= zero[:, :, None]
            fit = np.einsum("ngk,ngk->ng", codes, weighted)
            square = np.einsum("ngk,ngk,gk->ng", codes, codes, weight)
            reduction = fit * fit * reciprocal(square)
            better = reduction > explained
            best = np.where(better, fit * reciprocal(square), best)
            best_zero = np.where(better, zero, best_zero)
            explained = np.where(better, reduction, explained)
    return best, best_zero


def _signed_codes(grouped: Floats, inverse: Floats, bits: int) -> Floats:
    codes = grouped * inverse
    np.rint(codes, out=codes)
    np.clip(codes, *SYMMETRIC_CODES[bits], out=codes)
    return codes


def _unsigned_codes(grouped: Floats, inverse: Floats, zero: Floats, bits: int) -> Floats:
    codes = grouped * inverse
    codes += zero
    np.rint(codes, out=codes)
    np.clip(codes, 0, 2**bits - 1, out=codes)
    return codes


def _grouped_importance(importance: Floats | None, grouped: Floats) -> Floats:
    _, groups, group = grouped.shape
    if importance is None:
        return np.ones((groups, group), np.float32)
    return importance.reshape(groups, group)
