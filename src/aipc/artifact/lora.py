"""A LoRA adapter as an artifact takes it while it runs, by the matrices of its graph."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PRODUCT = "{}.product"
"""What the node of a graph is called that multiplies by a matrix of that name.

In an ONNX graph ".ROW" follows where it multiplies by some of the rows alone, from that one on.
"""
HEAD_PRODUCTS = ("logits", PRODUCT.format("logits"))
"""What the head's is called in an ONNX graph; the second where more is done to the logits."""
HEAD_MATRICES = ("head", "embedding")
"""What the head's matrix is called; the second where it is the embedding too."""

Factors: TypeAlias = "Mapping[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]"
"""By the name of a matrix [rows, columns] its factors, down [rank, columns] and up [rows, rank].

Their product, up times down, is added to the matrix as it is.
"""


def write_factors(factors: Factors) -> bytes:
    """The factors as a safetensors file, by the names that peft gives them; float32."""
    header, data, start = {}, [], 0
    for matrix, (down, up) in factors.items():
        for part, values in (("lora_A", down), ("lora_B", up)):
            raw = values.astype("<f4").tobytes()
            header[f"base_model.model.{PRODUCT.format(matrix)}.{part}.weight"] = {
                "dtype": "F32",
                "shape": list(values.shape),
                "data_offsets": [start, start + len(raw)],
            }
            data.append(raw)
            start += len(raw)
    text = json.dumps(header).encode()
    return b"".join([struct.pack("<Q", len(text)), text, *data])
