"""The weights of a checkpoint folder, whatever tool quantized them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aipc.checkpoint.quantized.awq import find_awq
from aipc.checkpoint.quantized.bitsandbytes import find_bitsandbytes
from aipc.checkpoint.quantized.compressed_tensors import find_compressed
from aipc.checkpoint.quantized.fp8 import find_fp8
from aipc.checkpoint.quantized.gptq import find_gptq
from aipc.checkpoint.quantized.matrix import PackedMatrix
from aipc.checkpoint.quantized.mxfp4 import find_mxfp4
from aipc.checkpoint.quantized.settings import ANOTHER, QuantizationSettings, read_settings
from aipc.checkpoint.tensors import (
    BYTE_FLOATS,
    Floats,
    Grid,
    GridCodes,
    StoredTensors,
    TensorInfo,
    check_rows,
    find_tensor,
)
from aipc.errors import UnsupportedModel, quoted

_Find = Callable[[StoredTensors, QuantizationSettings], Iterator[tuple[str, PackedMatrix]]]
METHODS: Mapping[str, _Find] = {
    "gptq": find_gptq,
    "awq": find_awq,
    "compressed-tensors": find_compressed,
    "fp8": find_fp8,
    "fbgemm_fp8": find_fp8,
    "bitsandbytes": find_bitsandbytes,
    "mxfp4": find_mxfp4,
}
"""By ``quant_method``."""
_PACKED = (
    ".qweight",
    ".weight_packed",
    ".SCB",
    ".weight.absmax",
    ".weight_scale_inv",
    ".weight_scale",
)
_OF_ACTIVATIONS = (
    *(".input_scale", ".input_zero_point", ".input_global_scale", ".output_scale"),
    *(".k_scale", ".v_scale", ".q_scale", ".input_scale_ub", ".activation_scale"),
)
"""Of what flows through a layer, which is quantized at other places here or not at all."""


class QuantizedWeights:
    """A `TensorFile` over stored tensors, some of which make up ``packed`` matrices together."""

    def __init__(
        self,
        file: StoredTensors,
        packed: Mapping[str, PackedMatrix],
        stated_in: tuple[Path, ...] = (),
    ) -> None:
        self._file, self._packed = file, packed
        self.paths = (*file.paths, *stated_in)
        parts = {f"{m.layer.name}.{part}" for m in packed.values() for part in m.parts}
        dropped = _OF_ACTIVATIONS if packed else ()
        plain = {
            name: info
            for name, info in file.tensors.items()
            if name not in parts and not name.endswith(dropped)
        }
        own = {name: matrix.info(name) for name, matrix in packed.items()}
        self.tensors: Mapping[str, TensorInfo] = {**plain, **own}

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """As `TensorFile.rows`.

        Raises:
            CheckpointError: no such tensor or rows, scales that are no numbers, or the file was
                cut short meanwhile.
            UnsupportedModel: a tensor that is stored as integers which no settings explain.
        """
        if name not in self._packed:
            return self._file.rows(name, start, stop)
        info = find_tensor(self.tensors, name)
        check_rows(info, start, stop)
        if start == stop:
            return np.empty((0, info.shape[1]), np.float32)
        return self._packed[name].rows(start, stop)

    def grid(self, name: str) -> Grid | None:
        """As `TensorFile.grid`; reads the matrix's scales and zero points."""
        return self._packed[name].grid() if name in self._packed else None

    def codes(self, name: str, start: int, stop: int) -> GridCodes:
        """As `TensorFile.codes`, with the errors of `rows`."""
        check_rows(find_tensor(self.tensors, name), start, stop)
        return self._packed[name].codes(start, stop)


def read_quantized(
    file: StoredTensors, config: Mapping[str, Any], folder: Path
) -> QuantizedWeights:
    """The weights as floats, decoded as the folder's ``config`` or a file beside it says.

    Raises:
        UnsupportedModel: a method that is not known here, or an option of one.
        CheckpointError: tensors that are not what the settings say.
    """
    settings = read_settings(folder, config)
    if settings is None:
        _refuse_unexplained(file)
        return QuantizedWeights(file, {})
    if settings.method not in METHODS:
        raise UnsupportedModel(
            f"'{settings.path}' says that its weights were quantized by {quoted(settings.method)}, "
            f"which can't be read here",
            f"{ANOTHER}; read are {', '.join(METHODS)}",
        )
    packed = dict(METHODS[settings.method](file, settings))
    is_beside = settings.path.name != "config.json"
    weights = QuantizedWeights(file, packed, (settings.path,) if is_beside else ())
    _refuse_unscaled(weights, packed, settings)
    return weights


def _refuse_unexplained(file: StoredTensors) -> None:
    for name in file.tensors:
        if name.endswith(_PACKED):
            raise UnsupportedModel(
                f"the tensor {quoted(name)} is of a quantized checkpoint, but neither config.json "
                "nor a file beside it says how it was quantized",
                ANOTHER,
            )


def _refuse_unscaled(
    weights: QuantizedWeights, packed: Mapping[str, PackedMatrix], settings: QuantizationSettings
) -> None:
    """8-bit floats without their scale would be read as other numbers than they stand for."""
    for name, info in weights.tensors.items():
        if name not in packed and info.dtype in BYTE_FLOATS:
            raise settings.contradicted(name, f"it is {info.dtype} without a scale")
