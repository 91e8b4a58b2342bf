"""compressed-tensors: llm-compressor's and vLLM's layouts, a scheme for each group of layers.

pack-quantized: ``weight_packed`` int32 [rows, columns * bits / 32], codes shifted to be unsigned;
int-quantized: ``weight`` int8; float-quantized: ``weight`` of 8-bit floats; nvfp4- and
mxfp4-pack-quantized: two 4-bit floats a byte.  All have ``weight_scale`` (compressed-tensors
0.20, ``compressors``; how targets and ``ignore`` match, ``utils/match.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aipc.checkpoint.quantized.layer import SCALES, Layer
from aipc.checkpoint.quantized.matrix import IntegerMatrix, PackedMatrix, Zeros
from aipc.checkpoint.quantized.mxfp4 import GROUP as MXFP4_GROUP
from aipc.checkpoint.quantized.packing import WORD, Codes, unpack, unpack_part
from aipc.checkpoint.quantized.scaled import FourBitFloats, ScaledMatrix
from aipc.checkpoint.quantized.settings import QuantizationSettings
from aipc.checkpoint.tensors import Floats, StoredTensors

_SCALE = ".weight_scale"
_PACKED_BITS = (2, 4, 8)  # what other numbers of bits look like differs between versions
_NVFP4_GROUP = 16


def find_compressed(
    file: StoredTensors, settings: QuantizationSettings
) -> Iterator[tuple[str, PackedMatrix]]:
    """As `find_gptq`."""
    _refuse_others(settings)
    schemes = _read_schemes(settings)
    for tensor in file.tensors:
        if tensor.endswith(_SCALE):
            layer = Layer(file, settings, tensor.removesuffix(_SCALE))
            yield f"{layer.name}.weight", _matrix(layer, _scheme_of(schemes, layer))


def _refuse_others(settings: QuantizationSettings) -> None:
    sparsity = settings.table("sparsity_config").get("format", "dense")
    status = settings.text(("quantization_status",), "compressed")
    if sparsity != "dense":
        raise settings.unsupported(f"sparse weights ({sparsity})")
    if settings.table("transform_config").get("config_groups"):
        raise settings.unsupported("rotated weights (transform_config)")
    if status != "compressed":
        raise settings.unsupported(
            f"quantization_status = {status}", "only compressed is known here; "
        )


@dataclass(frozen=True)
class _Scheme:
    """How the layers of some ``targets`` are quantized."""

    targets: tuple[str, ...]
    weights: QuantizationSettings


def _read_schemes(settings: QuantizationSettings) -> list[_Scheme]:
    found = []
    for key, value in settings.table("config_groups").items():
        group = settings.within(f"config_groups.{key}", value)
        if group.values.get("weights") is not None:
            weights = group.within("weights", group.values["weights"])
            found.append(_Scheme(tuple(group.names("targets")), weights))
    return found


def _scheme_of(schemes: list[_Scheme], layer: Layer) -> QuantizationSettings:
    """That of the most exact target: the name, a pattern, a class of layers."""
    settings, name = layer.settings, layer.name
    if any(_is_named(settings, target, name) for target in settings.names("ignore")):
        raise layer.contradicted("it is ignored, but packed")
    kind = "Embedding" if name.endswith("embed_tokens") else "Linear"
    targets = [(target, scheme) for scheme in schemes for target in scheme.targets]
    by_name = [(target, scheme) for target, scheme in targets if _is_named(settings, target, name)]
    by_name.sort(key=lambda found: found[0].startswith("re:"))
    by_kind = [(target, scheme) for target, scheme in targets if target == kind]
    for _, scheme in (*by_name, *by_kind):
        return scheme.weights
    raise layer.contradicted("no group of config_groups is for it")


def _is_named(settings: QuantizationSettings, target: str, name: str) -> bool:
    if target.startswith("re:"):
        return settings.matches(target.removeprefix("re:"), name)
    return target == name


def _matrix(layer: Layer, weights: QuantizationSettings) -> PackedMatrix:
    kind = weights.text(("type",), "int")
    if kind == "int":
        is_packed = layer.has("weight_packed")
        return PackedIntegers(layer, weights) if is_packed else Integers(layer, weights)
    bits = weights.number("num_bits", 8, (4, 8))
    if bits == 8:
        return ScaledMatrix(layer, "weight_scale", _block(layer, weights))
    if layer.has("weight_global_scale"):
        return FourBitFloats(
            layer, "weight_packed", "weight_scale", _NVFP4_GROUP, "weight_global_scale"
        )
    return FourBitFloats(layer, "weight_packed", "weight_scale", MXFP4_GROUP)


def _block(layer: Layer, weights: QuantizationSettings) -> tuple[int, int] | None:
    """What one scale is for; None: a row or the matrix, as many scales as there are."""
    strategy = weights.text(("strategy",), "tensor")
    if strategy not in ("tensor", "channel", "block"):
        raise weights.unsupported(f"the strategy {strategy}")
    block = weights.block("block_structure") if strategy == "block" else None
    if strategy == "block" and block is None:
        raise layer.contradicted("its block_structure is missing")
    return block


class Integers(IntegerMatrix):
    """int-quantized: codes of 8 bits from -128 up, a byte each."""

    _codes = "weight"

    def __init__(self, layer: Layer, weights: QuantizationSettings) -> None:
        self.bits = weights.number("num_bits", 8, (8,))
        self._lay_out(layer, weights, layer.matrix("weight", ("I8",)))

    def _lay_out(self, layer: Layer, weights: QuantizationSettings, shape: tuple[int, int]) -> None:
        rows, columns = shape
        strategy = weights.text(("strategy",), "tensor")
        if strategy not in ("tensor", "channel", "group"):
            raise weights.unsupported(f"the strategy {strategy}")
        stated = weights.number("group_size", 0) if strategy == "group" else columns
        self.group = columns if stated == -1 else stated
        if self.group < 1 or columns % self.group:
            raise layer.contradicted(f"group_size {stated} does not divide {columns} columns")
        self._groups = columns // self.group
        self._is_single = strategy == "tensor"
        flat = ((), (1,), (1, 1)) if self._is_single else ((rows, self._groups),)
        layer.check("weight_scale", SCALES, *flat)
        self._is_asymmetric = weights.values.get("symmetric") is False
        if self._is_asymmetric:
            self._check_zero(layer, flat)
        if layer.has("weight_g_idx"):
            layer.check("weight_g_idx", ("I32", "I64"), (columns,))
        elif weights.text(("actorder",), "") in ("group", "dynamic", "true"):
            raise layer.contradicted("actorder is stated, weight_g_idx is missing")
        others = "weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx"
        kind = f"compressed-tensors int{self.bits}"
        super().__init__(layer, kind, shape, self._codes, *others)

    def _check_zero(self, layer: Layer, flat: tuple[tuple[int, ...], ...]) -> None:
        layer.check("weight_zero_point", ("I8",), *flat)

    def unsigned_codes(self, start: int, stop: int) -> Codes:
        return self.layer.stored("weight", start, stop).view(np.uint8) ^ np.uint8(128)

    def scale(self, start: int, stop: int) -> Floats:
        if self._is_single:
            return np.full((stop - start, 1), self.layer.floats("weight_scale").reshape(-1)[0])
        return self.layer.floats("weight_scale", slice(start, stop))

    def zero(self, start: int, stop: int) -> Zeros | None:
        if not self._is_asymmetric:
            return None
        found = self._zero(start, stop).astype(np.int16)
        return np.broadcast_to(found, (stop - start, self._groups))

    def _zero(self, start: int, stop: int) -> npt.NDArray[np.int16]:
        stored = self.layer.stored("weight_zero_point").astype(np.int16)
        part = stored.reshape(1, 1) if self._is_single else stored[start:stop]
        return np.asarray(part + np.int16(self.middle))

    def group_index(self) -> npt.NDArray[np.int32] | None:
        if not self.layer.has("weight_g_idx"):
            return None
        found: npt.NDArray[np.int32] = self.layer.stored("weight_g_idx").astype(np.int32)
        return None if (found == -1).all() else found  # -1: columns in order


class PackedIntegers(Integers):
    """pack-quantized: codes and zero points unsigned, the latter packed along the rows."""

    _codes = "weight_packed"

    def __init__(self, layer: Layer, weights: QuantizationSettings) -> None:
        self.bits = weights.number("num_bits", 4, _PACKED_BITS)
        rows, words = layer.matrix("weight_packed", ("I32",))
        layer.check("weight_shape", ("I64", "I32"), (2,))
        shape = tuple(int(n) for n in layer.stored("weight_shape"))
        if shape[0] != rows or shape[1] < 1 or -(-shape[1] * self.bits // WORD) != words:
            raise layer.contradicted(
                f"weight_shape {list(shape)} with weight_packed {rows} x {words}"
            )
        self._lay_out(layer, weights, (shape[0], shape[1]))

    def _check_zero(self, layer: Layer, flat: tuple[tuple[int, ...], ...]) -> None:
        if self._is_single:
            super()._check_zero(layer, flat)
            return
        words = -(-flat[0][0] * self.bits // WORD)
        layer.check("weight_zero_point", ("I32",), (words, self._groups))

    def unsigned_codes(self, start: int, stop: int) -> Codes:
        return unpack(self.layer.stored("weight_packed", start, stop), self.bits)[
            :, : self.shape[1]
        ]

    def _zero(self, start: int, stop: int) -> npt.NDArray[np.int16]:
        if self._is_single:
            return super()._zero(start, stop)
        packed = self.layer.stored("weight_zero_point").T
        return unpack_part(packed, self.bits, start, stop).T.astype(np.int16)
