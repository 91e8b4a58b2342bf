"""Vectors of texts: a model that makes them, by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.artifact.config import read_config
from aipc.artifact.sentence_model import read_sentence_model
from aipc.convert.recipe import Recipe
from aipc.errors import UsageError
from aipc.models.store import Store
from aipc.progress import Notify, Progress, silent
from aipc.runtimes.encoders.encoder import EncodedText
from aipc.session.convert import log
from aipc.session.encoders.reader import (
    LoadedReader,
    ReaderOptions,
    TextReader,
    find_folder,
)
from aipc.units import count

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Embeddings:
    """``vectors`` are float32 [texts, width]; ``tokens`` those of each text, as it was read.

    ``cut`` has the tokens that were left out of each, 0 of most.
    """

    vectors: npt.NDArray[np.float32]
    tokens: Sequence[int]
    cut: Sequence[int]


class Embedder(LoadedReader):
    """A loaded model that makes vectors of texts; made by `embedder`, a context manager.

    Its methods may be called from any thread.
    """

    def __init__(self, folder: Path, options: ReaderOptions, notify: Notify = log) -> None:
        from aipc.session.encoders.vectors import VectorSteps

        self._model = read_sentence_model(folder)
        modules = self._model.modules
        super().__init__(TextReader(folder, options, modules.pooling))
        self._steps = VectorSteps(modules.steps, self._reader.width)
        self._notify = notify
        self.width = self._steps.width
        """Numbers of a vector."""
        self.prompts: Mapping[str, str] = self._model.prompts
        """What the model wants before texts of each kind, such as "query"; may be empty."""
        self.facts: Mapping[str, Any] = {
            **self._reader.facts,
            "task": "embeddings",
            "pooling": str(modules.pooling),
            "normalized": modules.normalized,
            "dimensions": self.width,
        }
        self._shorter = _shorter_widths(folder, self.width)
        if modules.note:
            notify(modules.note)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, as the model would get it whole."""
        return [len(one.ids) + one.cut for one in self._encode(texts, None)]

    def embed(
        self,
        texts: Sequence[str],
        *,
        prompt: str | None = None,
        dimensions: int | None = None,
        truncate: bool = False,
    ) -> npt.NDArray[np.float32]:
        """Float32 [texts, width]; a text's vector does not depend on the others.

        Args:
            texts: any number.
            prompt: the kind that the texts are of, "query" or "document", or the name of another
                one of ``prompts``; None is the model's default.
            dimensions: numbers of a vector, where the model's may be shortened.
            truncate: leave out the end of a text that is too long, and notify of it.

        Raises:
            PromptTooLong: a text has more tokens than ``context``.
            UsageError: other ``dimensions`` than the model's vectors may have, or no such prompt.
            EngineError: a closed model, or the vendor's runtime failed.
        """
        made = self.read(texts, prompt=prompt, dimensions=dimensions, truncate=truncate)
        if short := sum(map(bool, made.cut)):
            self._notify(f"{count(short, 'text')} cut to the model's {self.context} tokens")
        return made.vectors

    def read(
        self,
        texts: Sequence[str],
        *,
        prompt: str | None = None,
        dimensions: int | None = None,
        truncate: bool = False,
    ) -> Embeddings:
        """As `embed`, with what was read of each text."""
        self.check_dimensions(dimensions)
        from aipc.session.encoders.vectors import of_length_one

        encoded = self._encode(texts, prompt)
        if not truncate:
            self._reader.refuse_cut(encoded)
        vectors = self._steps(self._reader.run(encoded))
        if dimensions is not None:
            shorter = vectors[:, :dimensions]
            vectors = of_length_one(shorter) if self._model.modules.normalized else shorter
        cut = [one.cut for one in encoded]
        return Embeddings(vectors, [len(one.ids) for one in encoded], cut)

    def check_dimensions(self, dimensions: int | None) -> None:
        """Refuse a number that the model's vectors can't have.

        Raises:
            UsageError: it is neither their own, nor one that the model states.
        """
        if dimensions in {None, self.width} or (dimensions or 0) in self._shorter:
            return
        what = f"the model's embeddings have {self.width} dimensions, not {dimensions}"
        known = _widths_told(self._shorter)
        raise UsageError(what, f"leave dimensions out{f', or give {known}' if known else ''}")

    def _encode(self, texts: Sequence[str], prompt: str | None) -> list[EncodedText]:
        before = self._model.prompt(prompt)
        whole = [before + text for text in texts]
        if self._model.lowercase:
            before, whole = before.lower(), [text.lower() for text in whole]
        encoded = self._reader.encode(whole)
        if not before or self._model.modules.pooling.includes_prompt:
            return encoded
        skipped = self._reader.count_leading(before)
        return [replace(one, skipped=skipped) for one in encoded]


def embedder(
    name: str,
    *,
    device: str = "auto",
    runtime: str = "auto",
    properties: Mapping[str, str] | None = None,
    recipe: Recipe | None = None,
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = log,
) -> Embedder:
    """Load a model that makes vectors of texts; fetch and convert it where that is needed.

    Args:
        name: as `aipc.load` takes it: a short name, a hub id, a checkpoint of sentence-transformers
            or of transformers, an artifact of aipc's or of optimum-intel's.
        device: auto (the CPU, which is quick enough for models of this kind), cpu, gpu, gpu.N; of
            ONNX Runtime cuda, directml, webgpu.
        runtime: openvino, onnx, or auto: that of the device, OpenVINO's where both have it.
        properties: the runtime's own, such as {"NUM_STREAMS": "1"} of OpenVINO.
        recipe: how weights are stored, where it has to be converted; None: int8.
        store: where models are kept; None: the user's.
        progress: told how far fetching and converting are.
        notify: called with one line: what a user should know.

    Raises:
        ArtifactError: the model makes none, or its files ask for what is not known here.
        DeviceError: this machine has no such device, or it is an NPU.
        AipcError: as `aipc.session.convert.convert`.
    """
    options = ReaderOptions(device, properties, recipe, runtime)
    folder = find_folder(name, "embeddings", options, store, progress, notify)
    return Embedder(folder, options, notify)


def _shorter_widths(folder: Path, width: int) -> Sequence[int]:
    """Those that a Matryoshka model's config states, as vLLM reads them: some, or all below."""
    config = read_config(folder)
    stated = config.get("matryoshka_dimensions")
    if isinstance(stated, list):
        return [one for one in stated if isinstance(one, int) and 0 < one < width]
    return range(1, width) if config.get("is_matryoshka") is True else ()


def _widths_told(widths: Sequence[int]) -> str:
    if isinstance(widths, range) and widths:
        return f"one from {widths[0]} to {widths[-1]}"
    return " or ".join(map(str, widths))
