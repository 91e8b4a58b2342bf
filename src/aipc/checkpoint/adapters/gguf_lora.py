"""A LoRA adapter that llama.cpp's converter wrote, as what peft would have kept of it.

Source: llama.cpp, ``convert_lora_to_gguf.py`` (names and shapes) and ``src/llama-adapter.cpp`` (the
scale is alpha over the rank, and 1 where no alpha is stated: the file does not tell an rsLoRA).
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

from aipc.checkpoint.adapters.settings import LoraSettings
from aipc.checkpoint.gguf.names import find_architecture, translate
from aipc.checkpoint.gguf.weights import GgufFile
from aipc.checkpoint.tensors import Floats, TensorInfo, check_rows, find_tensor
from aipc.errors import CheckpointError, UnsupportedModel, damaged, quoted

_PART = re.compile(r"(?P<tensor>.+\.weight)\.lora_(?P<part>[ab])", re.ASCII)
_EMBEDDING = "token_embd.weight"
_PEFT = {"a": "lora_A.weight", "b": "lora_B.weight"}
_PEFT_EMBEDDING = {"a": "lora_embedding_A", "b": "lora_embedding_B"}
_INVOKED = "adapter.alora.invocation_tokens"
_MERGE = "merge it with llama.cpp's llama-export-lora, and name what that wrote"


class GgufLora:
    """A GGUF adapter's tensors, float32, by the names that peft gives them.

    Rows of queries and keys are as the file has them; see `is_permuted`.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            CheckpointError: damaged, or no adapter.
            UnsupportedModel: another kind of adapter, or of a network that is not known here.
        """
        self._file = file = GgufFile(path)
        self.paths = file.paths
        self._check_kind()
        architecture = find_architecture(path, file.metadata.architecture)
        self.is_permuted = architecture.permuted
        """Whether each head's rows of queries and keys are side by side as they rotate."""
        self._stored: dict[str, str] = {}
        for name in file.tensors:
            part = _PART.fullmatch(name)
            if part is None:
                what = f"'{path}' changes {quoted(name)} otherwise than by a LoRA's product"
                raise UnsupportedModel(what, _MERGE)
            parts = _PEFT_EMBEDDING if part["tensor"] == _EMBEDDING else _PEFT
            module = translate(path, architecture, part["tensor"]).removesuffix(".weight")
            self._stored[f"base_model.model.{module}.{parts[part['part']]}"] = name
        self.tensors = {name: self._info(name) for name in self._stored}

    @property
    def settings(self) -> LoraSettings:
        """As adapter_config.json would state them."""
        ranks = {
            name.removesuffix(".lora_A.weight").removeprefix("base_model.model."): info.shape[0]
            for name, info in self.tensors.items()
            if name.endswith((".lora_A.weight", ".lora_embedding_A"))
        }
        usual = Counter(ranks.values()).most_common(1)[0][0] if ranks else 1
        others = {re.escape(name): rank for name, rank in ranks.items() if rank != usual}
        alpha = self._file.metadata.share("adapter.lora.alpha", 0.0)
        return LoraSettings(
            path=self._file.path,
            base=self._file.metadata.text("general.base_model.0.name", ""),
            rank=usual,
            alpha=alpha or usual,
            ranks=others,
            alphas={} if alpha else others,
        )

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """Rows [start, stop), float32."""
        check_rows(find_tensor(self.tensors, name), start, stop)
        if self._is_turned(name):
            return self.stored(name, start, stop)
        return self._file.read_rows(self._stored[name], np.arange(start, stop))

    def stored(self, name: str, start: int = 0, stop: int | None = None) -> Floats:
        """The same; without bounds all."""
        values = self._file.read_all(self._stored[name])
        return (values.T if self._is_turned(name) else values)[start:stop]

    def _info(self, name: str) -> TensorInfo:
        info = self._file.tensors[self._stored[name]]
        if len(info.shape) != 2:
            what = f"'{self._file.path}' changes {quoted(info.name)}, which are many matrices"
            raise UnsupportedModel(what, _MERGE)
        shape = info.shape[::-1] if self._is_turned(name) else info.shape
        return TensorInfo(name, "F32", shape, info.nbytes)

    @staticmethod
    def _is_turned(name: str) -> bool:
        """llama.cpp looks the ranks of a token up by rows."""
        return name.endswith("lora_embedding_A")

    def _check_kind(self) -> None:
        metadata, path = self._file.metadata, self._file.path
        if metadata.text("general.type", "model") != "adapter":
            raise CheckpointError(f"'{path}' is a model, no adapter", "name it as the model: -m")
        kind = metadata.text("adapter.type", "")
        if kind != "lora" or _INVOKED in metadata:
            kind = "alora" if kind == "lora" else kind
            what = f"'{path}' is an adapter of the kind {quoted(kind)}, which can't be used here"
            raise UnsupportedModel(what, "take a LoRA")
        if not self._file.tensors:
            raise damaged(path, "it holds no tensors of an adapter")
