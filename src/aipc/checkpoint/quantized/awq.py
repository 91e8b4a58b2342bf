"""AWQ: AutoAWQ's two layouts.

gemm: ``qweight`` int32 [columns, rows / 8], ``qzeros`` int32 [groups, rows / 8], ``scales``
[groups, rows]; a word holds eight rows, of which the low bits have the first, third, fifth and
seventh, then the others (``WQLinear_GEMM`` and ``packing_utils`` of AutoAWQ 0.2.9).
gemv: ``qweight`` int32 [rows, columns / 8] in order, zero points and scales by row and padded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from aipc.checkpoint.quantized.layer import SCALES, Layer
from aipc.checkpoint.quantized.matrix import IntegerMatrix, PackedMatrix, Zeros
from aipc.checkpoint.quantized.packing import Codes, unpack
from aipc.checkpoint.quantized.settings import QuantizationSettings
from aipc.checkpoint.tensors import Floats, StoredTensors

BITS = 4
A_WORD = 8
_PLACES = (0, 4, 1, 5, 2, 6, 3, 7)
"""The place in its word of each of eight rows."""


def find_awq(
    file: StoredTensors, settings: QuantizationSettings
) -> Iterator[tuple[str, PackedMatrix]]:
    """As `find_gptq`."""
    form = settings.text(("version", "checkpoint_format", "format"), "gemm")
    if form not in _FORMS:
        raise settings.unsupported(
            f"the format {form}", f"only {' and '.join(_FORMS)} are known here; "
        )
    settings.number("bits", BITS, (BITS,))
    for tensor in file.tensors:
        if tensor.endswith(".qweight"):
            name = tensor.removesuffix(".qweight")
            yield f"{name}.weight", _FORMS[form](Layer(file, settings, name))


def _group(layer: Layer, columns: int) -> int:
    stated = layer.settings.number("group_size", 128)
    group = columns if stated == -1 else stated
    if group < 1 or columns % group:
        raise layer.contradicted(f"group_size {stated} does not divide {columns} columns")
    return group


class AwqMatrix(IntegerMatrix):
    """The layout gemm."""

    def __init__(self, layer: Layer) -> None:
        columns, words = layer.matrix("qweight", ("I32",))
        self.bits, self.group = BITS, _group(layer, columns)
        groups, rows = columns // self.group, words * A_WORD
        layer.check("qzeros", ("I32",), (groups, words))
        layer.check("scales", SCALES, (groups, rows))
        super().__init__(layer, "AWQ int4", (rows, columns), "qweight", "qzeros", "scales")

    def unsigned_codes(self, start: int, stop: int) -> Codes:
        return self._unpacked("qweight", start, stop)

    def scale(self, start: int, stop: int) -> Floats:
        return self.layer.floats("scales", columns=slice(start, stop)).T

    def zero(self, start: int, stop: int) -> Zeros:
        return self._unpacked("qzeros", start, stop).astype(np.int16)

    def _unpacked(self, part: str, start: int, stop: int) -> Codes:
        """Rows [start, stop) of the matrix out of words [n, rows / 8], uint8 [stop - start, n]."""
        first, last = start // A_WORD, -(-stop // A_WORD)
        words = np.ascontiguousarray(self.layer.stored(part)[:, first:last].T).view(np.uint32)
        codes = np.empty((last - first, A_WORD, words.shape[1]), np.uint8)
        for row, place in enumerate(_PLACES):
            codes[:, row] = words >> np.uint32(BITS * place) & np.uint32(15)
        return codes.reshape(-1, words.shape[1])[start - first * A_WORD : stop - first * A_WORD]


class AwqByRows(IntegerMatrix):
    """The layout gemv."""

    def __init__(self, layer: Layer) -> None:
        rows, words = layer.matrix("qweight", ("I32",))
        columns = words * A_WORD
        self.bits, self.group = BITS, _group(layer, columns)
        self._groups = columns // self.group
        _, width = layer.matrix("qzeros", ("I32",))
        if width * A_WORD < self._groups:
            raise layer.contradicted(f"zero points of {self._groups} groups in {width} words a row")
        layer.check("qzeros", ("I32",), (rows, width))
        layer.check("scales", SCALES, (rows, width * A_WORD))
        super().__init__(layer, "AWQ int4", (rows, columns), "qweight", "qzeros", "scales")

    def unsigned_codes(self, start: int, stop: int) -> Codes:
        return unpack(self.layer.stored("qweight", start, stop), BITS)

    def scale(self, start: int, stop: int) -> Floats:
        return self.layer.floats("scales", slice(start, stop), slice(self._groups))

    def zero(self, start: int, stop: int) -> Zeros:
        codes = unpack(self.layer.stored("qzeros", start, stop), BITS)
        found: npt.NDArray[np.int16] = codes[:, : self._groups].astype(np.int16)
        return found


_FORMS: dict[str, type[AwqMatrix | AwqByRows]] = {"gemm": AwqMatrix, "gemv": AwqByRows}
