"""Checkpoints whose weights are 8-bit floats: DeepSeek's and Qwen's blocks, fbgemm's rows.

A weight is multiplied by ``weight_scale_inv``, whatever its name says (``weight_dequant`` of
DeepSeek-V3's inference code; ``Fp8Dequantize`` of transformers 5).
"""

from __future__ import annotations

from collections.abc import Iterator

from aipc.checkpoint.quantized.layer import Layer
from aipc.checkpoint.quantized.matrix import PackedMatrix
from aipc.checkpoint.quantized.scaled import WEIGHTS, ScaledMatrix
from aipc.checkpoint.quantized.settings import QuantizationSettings
from aipc.checkpoint.tensors import StoredTensors
from aipc.errors import damaged

_SCALES = ("weight_scale_inv", "weight_scale")


def find_fp8(
    file: StoredTensors, settings: QuantizationSettings
) -> Iterator[tuple[str, PackedMatrix]]:
    """As `find_gptq`."""
    block = _block(settings)
    for tensor, info in file.tensors.items():
        if tensor.endswith(".weight") and info.dtype in WEIGHTS:
            layer = Layer(file, settings, tensor.removesuffix(".weight"))
            scale = next(filter(layer.has, _SCALES), _SCALES[0])
            is_blocked = block is not None and len(layer.info(scale).shape) == 2
            yield tensor, ScaledMatrix(layer, scale, block if is_blocked else None)


def _block(settings: QuantizationSettings) -> tuple[int, int] | None:
    stated = settings.values.get("weight_block_size")
    if stated is None:
        return None
    sizes = stated if isinstance(stated, list) else []
    if len(sizes) != 2 or not all(type(size) is int and 0 < size < 2**20 for size in sizes):
        raise damaged(settings.path, "its weight_block_size is no pair of sizes")
    return sizes[0], sizes[1]
