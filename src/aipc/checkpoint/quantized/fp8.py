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

_SCALES = ("weight_scale_inv", "weight_scale")


def find_fp8(
    file: StoredTensors, settings: QuantizationSettings
) -> Iterator[tuple[str, PackedMatrix]]:
    """As `find_gptq`."""
    block = settings.block("weight_block_size")
    for tensor, info in file.tensors.items():
        if tensor.endswith(".weight") and info.dtype in WEIGHTS:
            layer = Layer(file, settings, tensor.removesuffix(".weight"))
            scale = next(filter(layer.has, _SCALES), _SCALES[0])
            is_blocked = block is not None and len(layer.info(scale).shape) == 2
            yield tensor, ScaledMatrix(layer, scale, block if is_blocked else None)
