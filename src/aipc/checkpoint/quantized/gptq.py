"""GPTQ: AutoGPTQ's and GPTQModel's layout.

``qweight`` is int32 [columns * bits / 32, rows], packed along the columns of the matrix;
``qzeros`` int32 [groups, rows * bits / 32], ``scales`` [groups, rows]; ``g_idx`` int32 [columns]
has the group of each column, not in order where columns were taken by their activation
(``desc_act``).  Zero points of the first format are stored less 1 (QuantLinear of AutoGPTQ 0.7.1;
``convert_gptq_v1_to_v2_format`` of GPTQModel).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from aipc.checkpoint.quantized.layer import SCALES, Layer
from aipc.checkpoint.quantized.matrix import IntegerMatrix, PackedMatrix, Zeros
from aipc.checkpoint.quantized.packing import WORD, Codes, unpack, unpack_part
from aipc.checkpoint.quantized.settings import QuantizationSettings
from aipc.checkpoint.tensors import Floats, StoredTensors

BITS = (2, 3, 4, 8)
_STORED_LESS = {"gptq": 1, "gptq_v2": 0}
"""What zero points are stored less, by format."""


def find_gptq(
    file: StoredTensors, settings: QuantizationSettings
) -> Iterator[tuple[str, PackedMatrix]]:
    """Each packed matrix with its tensor's name.

    Raises:
        UnsupportedModel: a number of bits or a format that is not known.
        CheckpointError: tensors that are not what the settings say.
    """
    form = settings.text(("checkpoint_format", "format"), "gptq")
    if form not in _STORED_LESS or settings.values.get("is_marlin_format"):
        raise settings.unsupported(
            f"the format {form if form not in _STORED_LESS else 'marlin'}",
            f"only {' and '.join(_STORED_LESS)} are known here; ",
        )
    for tensor in file.tensors:
        if tensor.endswith(".qweight"):
            name = tensor.removesuffix(".qweight")
            layer = Layer(file, _settings_of(settings, name), name)
            yield f"{name}.weight", GptqMatrix(layer, _STORED_LESS[form])


def _settings_of(settings: QuantizationSettings, name: str) -> QuantizationSettings:
    """The layer's own: GPTQModel's ``dynamic`` has others for names that match a pattern."""
    for pattern, others in settings.table("dynamic").items():
        if not pattern.startswith("-:") and settings.matches(pattern.removeprefix("+:"), name):
            own = settings.within("dynamic", others).values
            return QuantizationSettings(settings.path, settings.method, {**settings.values, **own})
    return settings


class GptqMatrix(IntegerMatrix):
    def __init__(self, layer: Layer, stored_less: int) -> None:
        settings = layer.settings
        self.bits = settings.number("bits", 4, BITS)
        words, rows = layer.matrix("qweight", ("I32",))
        columns = words * WORD // self.bits
        stated = settings.number("group_size", 128)
        self.group = columns if stated == -1 else stated
        if not 0 < self.group <= columns or rows * self.bits % WORD or words * WORD % self.bits:
            raise layer.contradicted(
                f"group_size {stated} and {self.bits} bits of {rows} x {columns}"
            )
        groups = -(-columns // self.group)
        layer.check("scales", SCALES, (groups, rows))
        layer.check("qzeros", ("I32",), (groups, rows * self.bits // WORD))
        if layer.has("g_idx"):
            layer.check("g_idx", ("I32", "I64"), (columns,))
        elif settings.values.get("desc_act"):
            raise layer.contradicted("desc_act is stated, g_idx is missing")
        self._stored_less = stored_less
        parts = "qweight", "qzeros", "scales", "g_idx"
        super().__init__(layer, f"GPTQ int{self.bits}", (rows, columns), *parts)

    def unsigned_codes(self, start: int, stop: int) -> Codes:
        return unpack(self.layer.stored("qweight")[:, start:stop].T, self.bits)

    def scale(self, start: int, stop: int) -> Floats:
        return self.layer.floats("scales", columns=slice(start, stop)).T

    def zero(self, start: int, stop: int) -> Zeros:
        packed = self.layer.stored("qzeros")
        return unpack_part(packed, self.bits, start, stop).T + np.int16(self._stored_less)

    def group_index(self) -> npt.NDArray[np.int32] | None:
        if not self.layer.has("g_idx"):
            return None
        return self.layer.stored("g_idx").astype(np.int32)
