"""The weights of a GGUF file in Hugging Face's names and row order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from aipc.checkpoint.gguf.file import GgufFile
from aipc.checkpoint.gguf.names import NOT_WEIGHTS, find_architecture, translate
from aipc.checkpoint.tensors import Floats, TensorInfo, check_rows, find_tensor
from aipc.errors import damaged, quoted


class GgufWeights:
    """A `TensorFile` over a `GgufFile`.

    llama.cpp stores the q and k projections of the llama architecture with the rows of each head
    permuted, so that the two halves that rotate together lie side by side
    (``convert_hf_to_gguf.py``, ``LlamaModel.permute``); `rows` puts them back in order.

    Raises:
        UnsupportedModel: an architecture or a tensor that is not known here.
        CheckpointError: a q or k projection whose rows its heads do not divide.
    """

    def __init__(self, file: GgufFile) -> None:
        self._file = file
        architecture = find_architecture(file.path, file.metadata.architecture)
        self._stored = {
            translate(file.path, architecture, name): name
            for name in file.tensors
            if name not in NOT_WEIGHTS
        }
        self.tensors = {name: self._renamed(name) for name in self._stored}
        self._heads = self._count_heads() if architecture.permuted else {}

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self._file.path,)

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """Read rows [start, stop) of the first axis as float32 [stop - start, ...].

        Raises:
            CheckpointError: no such tensor or rows, or the file was cut short meanwhile.
            UnsupportedModel: a type that can't be turned into floats.
        """
        info = find_tensor(self.tensors, name)
        check_rows(info, start, stop)
        order = np.arange(start, stop)
        if name in self._heads:
            order = stored_order(order, info.shape[0] // self._heads[name])
        return self._file.take(self._stored[name], order)

    def _renamed(self, name: str) -> TensorInfo:
        stored = self._file.tensors[self._stored[name]]
        return TensorInfo(name, stored.dtype, stored.shape, stored.nbytes)

    def _count_heads(self) -> dict[str, int]:
        """The number of heads of each tensor that is stored permuted."""
        metadata = self._file.metadata
        queries = metadata.size("{arch}.attention.head_count")
        keys = metadata.size("{arch}.attention.head_count_kv", queries)
        heads = {}
        for name, info in self.tensors.items():
            if ".self_attn.q_proj." in name or ".self_attn.k_proj." in name:
                heads[name] = queries if ".q_proj." in name else keys
                if info.shape[0] % (2 * heads[name]):
                    why = f"{heads[name]} heads do not divide {quoted(name)} {info.shape}"
                    raise damaged(self._file.path, why)
        return heads


def stored_order(rows: npt.NDArray[np.int64], head_size: int) -> npt.NDArray[np.int64]:
    """Where llama.cpp puts the checkpoint's ``rows`` of a q or k projection.

    Row ``half * head_size / 2 + i`` of a head is stored as its row ``2 * i + half``.
    """
    head, row = np.divmod(rows, head_size)
    half, i = np.divmod(row, head_size // 2)
    return np.asarray(head * head_size + 2 * i + half)
