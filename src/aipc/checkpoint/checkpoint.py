"""A checkpoint on disk: its configuration, its tensors by rows, and its text files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, final

from aipc.artifact.config import check_stated, without_absent_ids
from aipc.artifact.files import ADAPTER, CONFIG, GENERATION_CONFIG
from aipc.artifact.links import refuse_links
from aipc.checkpoint.adapters.merged import MergedAdapter, merge
from aipc.checkpoint.experts import unstack_experts
from aipc.checkpoint.folder import find_gguf, open_weights
from aipc.checkpoint.gguf.config import make_config
from aipc.checkpoint.gguf.experts import GgufExperts
from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.networks import expert_count
from aipc.checkpoint.gguf.parts import open_gguf
from aipc.checkpoint.gguf.tokenizer import GgufTexts
from aipc.checkpoint.gguf.weights import GgufWeights
from aipc.checkpoint.quantized.settings import QUANTIZATION_KEYS
from aipc.checkpoint.quantized.weights import read_quantized
from aipc.checkpoint.tensors import Floats, Grid, GridCodes, TensorFile, TensorInfo, find_tensor
from aipc.checkpoint.text_network import HEAD, SCORE, Renamed, find_text_network, settle_head
from aipc.checkpoint.texts import FolderTexts
from aipc.errors import CheckpointError, UnsupportedModel, unreadable
from aipc.records import read_object

_ADAPTER_IGNORED = f"{ADAPTER} is left out: the whole model beside it is used as it is"


class _Texts(Protocol):
    @property
    def paths(self) -> tuple[Path, ...]: ...

    def write(self, target: Path) -> None: ...


@final
class Checkpoint:
    """A model's files, opened by `open_checkpoint`; safe to read from several threads."""

    def __init__(
        self,
        path: Path,
        config: Mapping[str, Any],
        weights: TensorFile,
        texts: _Texts,
        notes: tuple[str, ...] = (),
        adapters: tuple[MergedAdapter, ...] = (),
    ) -> None:
        self.path = path
        self.config = config
        """The text network's config.json; for a GGUF file, made from its metadata."""
        self.notes = (*notes, *(one.note for one in adapters))
        """What of the files was left out or settled in opening them, a line each."""
        self.adapters = adapters
        """What is merged into the weights as they are read."""
        self._weights = weights
        self._texts = texts

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that it is read from, but for adapters'; their hashes are its provenance."""
        return (*self._texts.paths, *self._weights.paths)

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """By Hugging Face name, "model.layers.0.self_attn.q_proj.weight"."""
        return self._weights.tensors

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> Floats:
        """Read rows [start, stop) of a tensor's first axis as float32 [stop - start, ...].

        Only these rows are read, and none are kept.

        Raises:
            CheckpointError: no such tensor or rows, or the file was cut short meanwhile.
            UnsupportedModel: a type that can't be turned into floats.
        """
        shape = find_tensor(self.tensors, name).shape
        count = shape[0] if shape else 0
        return self._weights.rows(name, start, count if stop is None else stop)

    def grid(self, name: str) -> Grid | None:
        """The grid of whole numbers that a tensor is stored on; None where it is on none.

        Raises:
            CheckpointError: no such tensor, or scales that are no numbers.
        """
        find_tensor(self.tensors, name)
        return self._weights.grid(name)

    def codes(self, name: str, start: int, stop: int) -> GridCodes:
        """Rows [start, stop) of a tensor that has a `grid`, as stored; the errors are of `rows`."""
        return self._weights.codes(name, start, stop)

    def write_text_files(self, folder: Path) -> None:
        """Write config, generation config, tokenizer and chat template into ``folder``.

        Copied from a checkpoint folder, made from the metadata of a GGUF file.

        Raises:
            CheckpointError: one is damaged.
            UnsupportedModel: a tokenizer that is missing or of an unknown kind.
            OSError: ``folder`` can't be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._texts.write(folder)

    def headless(self) -> Checkpoint:
        """The same network up to its hidden states: nothing that makes tokens or scores of them."""
        config = {**self.config, "tie_word_embeddings": True, "architectures": []}
        kept = {name: name for name in self.tensors if name not in {HEAD, SCORE}}
        weights = Renamed(self._weights, kept)
        return Checkpoint(self.path, config, weights, self._texts, self.notes)

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *error: object) -> None:
        """Does nothing, as no file stays open between reads."""


def open_checkpoint(path: Path, adapters: Sequence[MergedAdapter] = ()) -> Checkpoint:
    """Open a folder with config.json and safetensors, a folder with one GGUF model, or its file.

    ``adapters`` are merged into its weights as those are read, in their order.

    Raises:
        CheckpointError: missing, damaged, cut short, with links that lead out of the folder,
            several GGUF models to choose from, or an adapter of another network.
        UnsupportedModel: an unknown GGUF architecture, tensor or type.
        UnsafeModel: the only weights are pickles.
    """
    try:
        if path.is_file() and path.suffix.lower() == ".gguf":
            return _open_gguf(path, adapters)
        if not path.is_dir():
            raise CheckpointError(
                f"'{path}' is neither a folder nor a .gguf file",
                "name a checkpoint folder, or fetch a model with 'aipc pull'",
            )
        refuse_links(path, CheckpointError)
        if gguf := find_gguf(path):
            return _open_gguf(gguf, adapters)
        return _open_folder(path, adapters)
    except OSError as error:  # a folder without permission, a name that is too long
        raise unreadable(path, error) from error


def _open_folder(path: Path, adapters: Sequence[MergedAdapter]) -> Checkpoint:
    found = open_weights(path)
    if not (path / CONFIG).is_file():
        raise CheckpointError(
            f"'{path}' has weights but no {CONFIG}", "put the model's config.json beside them"
        )
    config = read_object(path / CONFIG)
    check_stated(path / CONFIG, config)  # else found when the artifact is loaded
    generation = path / GENERATION_CONFIG
    check_stated(generation, read_object(generation) if generation.is_file() else {})
    config = without_absent_ids(config)
    stored = unstack_experts(found, config)
    network = find_text_network(path, config, read_quantized(stored, config, path))
    settled, note = settle_head(network.config, network.weights)
    plain = {key: value for key, value in settled.items() if key not in QUANTIZATION_KEYS}
    ignored = _ADAPTER_IGNORED if (path / ADAPTER).is_file() else ""
    notes = (*network.notes, *filter(None, (note, ignored)))
    plain, weights = merge(path, plain, network.weights, adapters)
    return Checkpoint(path, plain, weights, FolderTexts(path, plain), notes, tuple(adapters))


def _open_gguf(path: Path, adapters: Sequence[MergedAdapter]) -> Checkpoint:
    file = open_gguf(path)
    _refuse_part(file.metadata)
    stored: TensorFile = GgufWeights(file)
    if experts := expert_count(file.metadata):
        stored = GgufExperts(stored, experts)
    config, weights = merge(path, make_config(file, stored.tensors), stored, adapters)
    texts = GgufTexts(file.metadata, config)
    return Checkpoint(path, config, weights, texts, adapters=tuple(adapters))


def _refuse_part(metadata: Metadata) -> None:
    """Refuse what llama.cpp keeps beside a model."""
    kind = metadata.text("general.type", "model")
    if kind == "adapter":
        raise UnsupportedModel(
            f"'{metadata.path}' is a LoRA adapter, no whole model",
            f"`aipc run -m BASE --adapter '{metadata.path}'`, with its base",
        )
    if kind == "mmproj" or metadata.architecture == "clip":
        raise UnsupportedModel(
            f"'{metadata.path}' is the part of a model that reads images or sound",
            "name the .gguf file of the model itself",
        )
