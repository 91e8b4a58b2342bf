"""Vectors of texts from OpenVINO GenAI's embedding pipeline, on the CPU and the GPU."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.artifact.sentence_model import Pooling, SentenceModel, read_sentence_model
from aipc.devices import kind_of, resolve_device
from aipc.errors import DeviceError, EngineError, PromptTooLong
from aipc.runtimes.embedder import KINDS
from aipc.runtimes.openvino.properties import check_properties
from aipc.runtimes.signal_stack import leave_signal_stack
from aipc.runtimes.vendor_errors import translated

_VENDORS: Mapping[Pooling, str] = {"cls": "CLS", "mean": "MEAN", "last": "LAST_TOKEN"}


class OpenVINOEmbedder:
    """A loaded pipeline; see `aipc.runtimes.embedder.Embedder`."""

    def __init__(self, artifact: Path, device: str, properties: Mapping[str, str]) -> None:
        """Load ``artifact`` on ``device`` ("auto" is the CPU), with OpenVINO's properties.

        Raises:
            ArtifactError: the model's own files ask for what is not known here.
            DeviceError: this machine has no such device, or it is an NPU.
            UsageError: a property that the device does not know.
            EngineError: OpenVINO failed; its own error is the cause.
        """
        import openvino
        import openvino_genai

        model = read_sentence_model(artifact)
        core = openvino.Core()
        name = resolve_device(device, core.available_devices)
        if kind_of(name) not in KINDS:
            fix = f"ask for {' or '.join(sorted(KINDS))}"
            raise DeviceError(f"no embeddings are made on the {kind_of(name).upper()} here", fix)
        check_properties(core, name, properties)
        config = _config(model)
        with translated(f"the model could not be loaded on {name}"):
            self._tokenizer: Any = openvino_genai.Tokenizer(artifact)
            self._pipeline: Any = openvino_genai.TextEmbeddingPipeline(
                artifact, name, config, **properties
            )
        self._model = model
        self._turn = threading.Lock()
        self.context = model.longest
        self.facts: Mapping[str, Any] = {
            "runtime": "openvino",
            "version": openvino_genai.__version__,
            "device": name,
            "properties": dict(properties),
            "artifact": str(artifact),
            "pooling": model.pooling,
            "normalized": model.normalized,
        }
        self.width = self.embed([""]).shape[1]

    def count(self, texts: Sequence[str]) -> list[int]:
        with translated("OpenVINO failed to read the texts"):
            mask = self._tokenizer.encode(self._prefixed(texts)).attention_mask.data
        counts: list[int] = mask.sum(axis=1).tolist()
        return counts

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self._check(texts)
        with self._turn, translated("OpenVINO failed to embed"):
            if self._pipeline is None:
                raise EngineError("the model has been closed", "load it again")
            return np.array(self._pipeline.embed_documents(self._prefixed(texts)), np.float32)

    def close(self) -> None:
        with self._turn:
            self._pipeline = None
        leave_signal_stack()

    def _check(self, texts: Sequence[str]) -> None:
        """The pipeline would cut a longer text, and say nothing."""
        longest = max(self.count(texts))
        if self.context is not None and longest > self.context:
            raise PromptTooLong(
                f"a text has {longest} tokens, the model takes {self.context}", "shorten it"
            )

    def _prefixed(self, texts: Sequence[str]) -> list[str]:
        return [self._model.prefix + text for text in texts]


def _config(model: SentenceModel) -> Any:
    import openvino_genai

    pipeline = openvino_genai.TextEmbeddingPipeline
    config = pipeline.Config()
    config.pooling_type = getattr(pipeline.PoolingType, _VENDORS[model.pooling])
    config.normalize = model.normalized
    if model.longest is not None:
        config.max_length = model.longest
    return config
