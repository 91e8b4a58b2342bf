"""Tiny checkpoints whose layers are packed as GPTQ packs them."""

from __future__ import annotations

import json

import numpy as np


def as_gptq(tensors, group=32, *, sym=True, bits=4, act_order=False, seed=0):
    """The tensors with packed layers, and the same with the weights that those stand for."""
    random, packed, decoded = np.random.default_rng(seed), {}, {}
    for name, values in tensors.items():
        if values.ndim < 2 or ".layers." not in name:
            packed[name] = decoded[name] = values
            continue
        rows, columns = values.shape
        groups = 1 if group == -1 else columns // group
        width = columns // groups
        index = np.arange(columns) // width
        if act_order:
            index = random.permutation(index)
        middle = 1 << (bits - 1)
        scale = (np.abs(values).max(axis=1, keepdims=True) / middle * np.ones(groups)).astype("f2")
        zero = np.full((rows, groups), middle)
        if not sym:
            zero = random.integers(5, 11, (rows, groups)) * middle // 8
        wide, below = scale.astype(np.float32)[:, index], zero[:, index]
        codes = np.clip(np.rint(values / wide) + below, 0, 2**bits - 1).astype(np.uint32)
        layer = name.removesuffix("weight")
        packed |= {
            f"{layer}qweight": pack(codes, bits).T.copy(),
            f"{layer}qzeros": pack(zero.T.astype(np.uint32), bits),
            f"{layer}scales": scale.T.copy(),
            f"{layer}g_idx": index.astype(np.int32),
        }
        decoded[name] = ((codes.astype(np.float32) - below) * wide).astype(np.float32)
    settings = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": sym}
    return packed, decoded, settings | {"desc_act": act_order, "checkpoint_format": "gptq_v2"}


def pack(codes, bits):
    """int32 words of codes [n, k], the first in the low bits."""
    grouped = codes.reshape(len(codes), -1, 32 // bits)
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    words = np.bitwise_or.reduce(grouped << shifts, axis=-1).astype(np.uint32)
    return np.ascontiguousarray(words).view(np.int32)


def put_settings(folder, settings):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    return folder
