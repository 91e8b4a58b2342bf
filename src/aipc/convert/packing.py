"""How one format wants codes, scales and zero points to lie in memory: the writers' seam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aipc.convert.encoding import Encoding
from aipc.convert.network import Matrix
from aipc.convert.quantizers.rtn import Quantized


@dataclass(frozen=True)
class Form:
    """An array's element type ("f32", "f16", "i8", "u8", "i4" or "u4") and shape."""

    element: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Forms:
    """Those of a matrix's codes (or float16 weights) and, where quantized, what scales them."""

    weight: Form
    scale: Form | None = None
    zero: Form | None = None


class Packing(Protocol):
    """One format's; ``vector`` is the element type of norms, biases and tables."""

    @property
    def vector(self) -> str: ...

    def forms(self, matrix: Matrix, encoding: Encoding) -> Forms: ...

    def codes(self, quantized: Quantized, encoding: Encoding) -> npt.NDArray[Any]:
        """Those of some whole rows, as the file holds them."""

    def scale(self, scale: npt.NDArray[np.float16]) -> npt.NDArray[Any]:
        """Those of a whole matrix, [rows, groups], as the file holds them."""

    def zero(self, zero: npt.NDArray[np.uint8], encoding: Encoding) -> npt.NDArray[Any]:
        """Zero points of a whole matrix, [rows, groups], as the file holds them."""
