"""MXFP4 as transformers stores it: ``_blocks`` and ``_scales`` beside each other."""

from __future__ import annotations

from collections.abc import Iterator

from aipc.checkpoint.quantized.layer import Layer
from aipc.checkpoint.quantized.matrix import PackedMatrix
from aipc.checkpoint.quantized.scaled import FourBitFloats
from aipc.checkpoint.quantized.settings import QuantizationSettings
from aipc.checkpoint.tensors import StoredTensors

GROUP = 32


def find_mxfp4(
    file: StoredTensors, settings: QuantizationSettings
) -> Iterator[tuple[str, PackedMatrix]]:
    """As `find_gptq`: of matrices [rows, groups, 16 bytes], not of stacked experts."""
    for tensor, info in file.tensors.items():
        if tensor.endswith("_blocks") and len(info.shape) == 3:
            name, _, part = tensor.removesuffix("_blocks").rpartition(".")
            layer = Layer(file, settings, name)
            yield f"{name}.{part}", FourBitFloats(layer, f"{part}_blocks", f"{part}_scales", GROUP)
