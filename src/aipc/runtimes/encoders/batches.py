"""Texts of nearly one length through a graph together, and what is made of them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.artifact.sentence_modules import Pooling
from aipc.errors import EngineError
from aipc.runtimes.encoders.encoder import EncodedText
from aipc.runtimes.encoders.pooling import pool

Inputs = Mapping[str, npt.NDArray[np.int64]]
"""By their names, i64 [texts, tokens]."""


_AT_ONCE = 512
"""Tokens, padding included: through OpenVINO as fast as any from 128 to 1024
(benchmarks/embeddings.py, --sweep)."""


class BatchedEncoder(ABC):
    """What is the same of every `Encoder` whose graph takes padded texts; a subclass runs it."""

    def __init__(self, outputs: int, pooling: Pooling | None) -> None:
        """``outputs`` is the last axis of what the graph gives.

        ``pooling`` makes a vector of a text's hidden states; None: the graph gives scores.
        """
        self._pooling = pooling
        self.width = outputs * (1 if pooling is None else len(pooling.modes))
        """Numbers that it makes of a text."""
        self._at_once = _AT_ONCE
        self._turn = threading.Lock()
        self._is_open = True

    def run(self, texts: Sequence[EncodedText]) -> npt.NDArray[np.float32]:
        """As `Encoder.run`."""
        made = np.empty((len(texts), self.width), np.float32)
        for chosen in _batches(texts, self._at_once):
            made[chosen] = self._run_batch([texts[index] for index in chosen])
        return made

    def close(self) -> None:
        with self._turn:
            self._is_open = False
            self._free()

    @abstractmethod
    def _infer(self, given: Inputs) -> npt.NDArray[Any]:
        """Floats [texts, tokens, outputs] or, of scores, [texts, 1]; valid until the next call.

        Raises:
            EngineError: the vendor's runtime failed.
        """

    @abstractmethod
    def _free(self) -> None:
        """Let the model go; a second call does nothing."""

    def _run_batch(self, texts: Sequence[EncodedText]) -> npt.NDArray[np.float32]:
        shape = len(texts), max(1, *(len(text.ids) for text in texts))
        ids, mask, types = (np.zeros(shape, np.int64) for _ in range(3))
        counted = np.zeros(shape, np.bool_)
        for row, text in enumerate(texts):
            count = len(text.ids)
            ids[row, :count], mask[row, :count], types[row, :count] = text.ids, 1, text.types
            counted[row, min(text.skipped, max(count - 1, 0)) : max(count, 1)] = True
        positions = np.maximum(mask.cumsum(axis=1) - 1, 0)
        given = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": types,
            "position_ids": positions,
        }
        with self._turn:
            if not self._is_open:
                raise EngineError("the model has been closed", "load it again")
            made = self._infer(given)
            if self._pooling is None:
                return made.astype(np.float32).reshape(len(texts), -1)
            return pool(made.astype(np.float32, copy=False), counted, self._pooling.modes)


def _batches(texts: Sequence[EncodedText], at_once: int) -> Iterator[list[int]]:
    """Indices of texts of nearly one length, so that little is computed of what pads them."""
    batch: list[int] = []
    for index in sorted(range(len(texts)), key=lambda index: -len(texts[index].ids)):
        if batch and len(texts[batch[0]].ids) * (len(batch) + 1) > at_once:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
