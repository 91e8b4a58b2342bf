"""From the name of a model that reads whole texts to one that is loaded, and texts through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc import telemetry
from aipc.artifact.config import read_config
from aipc.artifact.files import runtime_of
from aipc.artifact.sentence_model import Task, longest_text, task_of
from aipc.artifact.sentence_modules import Pooling
from aipc.convert.encoders.kinds import checkpoint_task
from aipc.convert.targets import Target, find_target
from aipc.devices import kind_of
from aipc.devices.device import plain_name
from aipc.errors import (
    ArtifactError,
    DeviceError,
    PromptTooLong,
    UsageError,
)
from aipc.generate import Tokenizer
from aipc.models import names
from aipc.models.catalogue import model_name
from aipc.models.source import ArtifactSource, Source, WheelSource, without_adapters
from aipc.models.store import Store, StoredModel
from aipc.progress import Notify, Progress, silent
from aipc.runtimes.encoders.encoder import EncodedText
from aipc.runtimes.registry import open_encoder
from aipc.session.convert import announce, prepare
from aipc.session.encoders.pair_template import find_pair_template

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Self

    from aipc.convert.recipe import Recipe

_MAKES: Mapping[Task, str] = {"embeddings": "makes embeddings", "scores": "scores texts"}
_USE: Mapping[Task, str] = {
    "embeddings": "`aipc embed`, /v1/embeddings of `aipc serve`, or aipc.embedder in Python",
    "scores": "`aipc rerank`, /v1/rerank of `aipc serve`, or aipc.reranker in Python",
}


@dataclass(frozen=True)
class ReaderOptions:
    """How a model that reads whole texts is made and loaded; as `aipc.embedder` takes them."""

    device: str = "auto"
    properties: Mapping[str, str] | None = None
    recipe: Recipe | None = None
    runtime: str = "auto"

    @property
    def target(self) -> Target:
        """What a model is converted for; where nothing is said, OpenVINO on the CPU.

        Raises:
            DeviceError: an NPU.
            UsageError: no device name, or a runtime that has no such device.
        """
        kind = kind_of(plain_name(self.device))
        if kind == "npu":
            raise DeviceError("no texts are read whole on the NPU here", "ask for cpu or gpu")
        return find_target("cpu" if kind == "auto" else kind, self.runtime)


def knows_task(source: Source, store: Store) -> bool:
    """Whether what the model makes of texts can be told without fetching it.

    A GGUF file writes text.
    """
    source = without_adapters(source)
    is_gguf = isinstance(source, WheelSource) and not source.is_archive
    if is_gguf or isinstance(source, ArtifactSource) or store.holds(source):
        return True
    return next(store.artifacts_of(source), None) is not None


def source_task(source: Source, store: Store) -> Task | None:
    """What a model makes of texts; None: it writes text, or nothing of it is here yet.

    Raises:
        ArtifactError: a damaged modules.json.
    """
    source = without_adapters(source)
    if isinstance(source, ArtifactSource):
        return task_of(source.path)
    if store.holds(source):
        folder = store.fetch(source)
        return checkpoint_task(folder, read_config(folder)) if folder.is_dir() else None
    return next((stored_task(one) for one in store.artifacts_of(source)), None)


def stored_task(artifact: StoredModel) -> Task | None:
    """What an artifact of the store makes of texts, as its manifest states it."""
    task: Task | None = artifact.facts.get("task")
    return task


def refuse_reader(name: str, task: Task | None) -> None:
    """Refuse a model that writes no text where one is wanted that does.

    Raises:
        ArtifactError: ``task`` is one.
    """
    if task is not None:
        raise ArtifactError(f"'{name}' {_MAKES[task]} and writes no text", f"use {_USE[task]}")


def find_folder(
    name: str,
    task: Task,
    options: ReaderOptions,
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = lambda _: None,
) -> Path:
    """The artifact of a model for that task, made where it is missing.

    Raises:
        ArtifactError: it is for another task, or a file of it is not its manifest's.
        AipcError: as `aipc.session.convert.prepare`.
    """
    telemetry.switch_off()
    store = store or Store()
    source = names.resolve(name, store)
    if isinstance(source, ArtifactSource):
        if options.recipe is not None:
            raise UsageError(
                f"'{name}' is converted already, so a recipe can't apply", "leave it out"
            )
        folder = source.path
    else:
        announce(name, source, store, notify)
        if not knows_task(source, store):
            store.fetch(without_adapters(source), progress)
        _check(model_name(source), source_task(source, store), task)
        target = options.target
        made = prepare(
            source, options.recipe, store, target=target, progress=progress, notify=notify
        )
        for note in () if made.reused else made.notes:
            notify(note)
        folder = made.path
    store.verified(folder).check()
    _check(name, task_of(folder), task)
    return folder


def _check(name: str, found: Task | None, wanted: Task) -> None:
    if found == wanted:
        return
    what = "writes text" if found is None else _MAKES[found]
    fix = (
        "take one with sentence-transformers' modules.json"
        if found is None
        else f"use {_USE[found]}"
    )
    if found is None and wanted == "scores":
        fix = "take a cross-encoder, a ...ForSequenceClassification with one label"
    raise ArtifactError(f"'{name}' {what}, and {wanted} are wanted", fix)


def find_runtime(folder: Path, wanted: str) -> str:
    """The runtime that opens the artifact in ``folder``.

    Raises:
        ArtifactError: none does, or another one than is ``wanted``; "auto": any.
    """
    runtime = runtime_of(folder)
    if runtime is None:
        raise ArtifactError(f"'{folder}' holds no model that a runtime opens", "convert it first")
    if wanted not in {"auto", runtime}:
        fix = f"leave --runtime out, or convert the model for {wanted}"
        raise ArtifactError(f"'{folder}' was made for the runtime {runtime}, not {wanted}", fix)
    return runtime


class TextReader:
    """An artifact's tokenizer and its loaded graph; used from any thread."""

    def __init__(
        self, folder: Path, options: ReaderOptions, pooling: Pooling | None = None
    ) -> None:
        self._tokenizer = Tokenizer.from_folder(folder)
        self._encoder = open_encoder(
            find_runtime(folder, options.runtime),
            folder,
            options.device,
            options.properties or {},
            pooling,
        )
        self.longest = longest_text(folder)
        """Tokens of a text, or a pair; None where no file states it."""
        self._pairs = find_pair_template(folder, self._tokenizer, self.longest)
        self.has_pair_template = self._pairs is not None
        self.facts: Mapping[str, Any] = self._encoder.facts
        self.width = self._encoder.width

    def encode(
        self, texts: Sequence[str], seconds: Sequence[str] | None = None
    ) -> list[EncodedText]:
        """Texts, or pairs, in tokens; of those that are too long the end is left out, and told."""
        return self._tokenizer.encode_whole(texts, seconds, self.longest)

    def count_leading(self, prompt: str) -> int:
        """Tokens of what stands before a text: all but a special one at its end, which ends a text.

        As sentence-transformers counts them.
        """
        (ids,) = (one.ids for one in self.encode([prompt]))
        return len(ids) - (self._tokenizer.is_silent(ids[-1]) if ids else 0)

    def encode_pairs(self, query: str, documents: Sequence[str]) -> list[EncodedText]:
        """The query with each document, as the model was made to read them."""
        if self._pairs is None:
            return self.encode([query] * len(documents), documents)
        return [self._pairs.encode(query, document) for document in documents]

    def refuse_cut(self, texts: Sequence[EncodedText]) -> None:
        """Refuse texts that had to be cut.

        Raises:
            PromptTooLong: the longest of them.
        """
        worst = max(texts, key=lambda text: text.cut, default=None)
        if worst is not None and worst.cut:
            has = len(worst.ids) + worst.cut
            raise PromptTooLong(
                f"a text has {has} tokens, the model takes {self.longest}",
                "shorten it, or have it cut with truncate",
            )

    def run(self, texts: Sequence[EncodedText]) -> npt.NDArray[np.float32]:
        """As `aipc.runtimes.encoders.encoder.Encoder.run`."""
        return self._encoder.run(texts)

    def close(self) -> None:
        self._encoder.close()


class LoadedReader:
    """A context manager around a `TextReader`, which it closes."""

    def __init__(self, reader: TextReader) -> None:
        self._reader = reader
        self.context = reader.longest
        """Tokens that a text, or a pair, may have; None where the model does not state it."""

    def close(self) -> None:
        """Free the model and the device; a second call does nothing."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
