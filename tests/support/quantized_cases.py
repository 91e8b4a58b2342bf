"""What the libraries themselves packed and decoded, one case at a time."""

from __future__ import annotations

import json
import lzma
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aipc.checkpoint import open_checkpoint
from aipc.checkpoint.tensors import to_float32

REFERENCE = Path(__file__).parents[1] / "checkpoint/quantized/reference.safetensors.xz"


@dataclass
class Case:
    """``tensors`` are (type, shape, bytes) by name; ``decoded`` is the library's own result."""

    settings: dict[str, Any]
    tensors: dict[str, tuple[str, list[int], bytes]]
    dtype: str
    decoded: np.ndarray

    def write(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        header, data = {}, b""
        for name, (dtype, shape, raw) in self.tensors.items():
            offsets = [len(data), len(data) + len(raw)]
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
            data += raw
        text = json.dumps(header).encode()
        whole = struct.pack("<Q", len(text)) + text + data
        (folder / "model.safetensors").write_bytes(whole)
        config = {"model_type": "llama", "quantization_config": self.settings}
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    def open(self, folder: Path):
        return open_checkpoint(self.write(folder))

    def array(self, name: str, dtype: Any) -> np.ndarray:
        """A tensor's bytes as numbers, which can be changed and `put` back."""
        _, shape, raw = self.tensors[name]
        return np.frombuffer(raw, dtype).reshape(shape).copy()

    def put(self, name: str, values: np.ndarray) -> None:
        self.tensors[name] = (self.tensors[name][0], list(values.shape), values.tobytes())


def read_cases() -> dict[str, Case]:
    """Every case by name; `make_reference.py` beside the file has made them."""
    whole = lzma.decompress(REFERENCE.read_bytes())
    (length,) = struct.unpack_from("<Q", whole)
    header = json.loads(whole[8 : 8 + length])
    stated, found = header.pop("__metadata__"), {}
    for case, settings in stated.items():
        tensors = {}
        for name, info in header.items():
            if name.startswith(f"{case}|"):
                low, high = (8 + length + offset for offset in info["data_offsets"])
                tensors[name.split("|")[1]] = info["dtype"], info["shape"], whole[low:high]
        dtype, shape, raw = tensors.pop("=")
        decoded = to_float32(np.frombuffer(raw, np.uint8), dtype).reshape(shape)
        found[case] = Case(json.loads(settings), tensors, dtype, decoded)
    return found


CASES = tuple(read_cases())
