"""The float model that an artifact was made from: found, converted once to 16 bits, and kept.

It is computed in float32 on the CPU, so that nothing but its weights has 16 bits.  Its
log-probabilities are computed once and kept for every model compared with it:

    HOME/references/KEY.npy     log-probabilities, float16 [positions, vocabulary]

Float16 is good to 1e-3 where a token is likely, which moves a mean KL by about 1e-6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aipc import disk
from aipc.artifact.config import read_context
from aipc.artifact.files import TOKENIZER
from aipc.choose import read_artifact
from aipc.convert.recipe import Recipe
from aipc.devices import kind_of
from aipc.devices.wheels import installed
from aipc.errors import MeasurementError
from aipc.generate import Tokenizer
from aipc.measure.quality.divergence import judged, log_softmax
from aipc.measure.quality.passages import Window
from aipc.models import names
from aipc.models.blobs import fingerprint
from aipc.models.catalogue import model_name
from aipc.models.source import (
    AdaptedSource,
    AdapterSource,
    ArtifactSource,
    CheckpointSource,
    FolderSource,
    GgufSource,
    HubAdapterSource,
    HubSource,
    Source,
    WheelSource,
)
from aipc.models.store import Store
from aipc.progress import Notify, Progress
from aipc.records import replacing
from aipc.runtimes.base import Scorer
from aipc.runtimes.openvino.scorer import EXACT
from aipc.runtimes.registry import RUNTIMES
from aipc.session.convert import announce, prepare

if TYPE_CHECKING:
    from aipc.session.session import Session


_MODEL_FILES = frozenset({".xml", ".bin", ".onnx", ".data"})

FLOAT = Recipe(weight_format="fp16")
_LOCAL: Mapping[str, type[FolderSource | GgufSource]] = {
    "folder": FolderSource,
    "gguf": GgufSource,
}
_FIX = "name it with --against MODEL, or judge by the text alone with --against none"
KEPT = 3
"""Files; the oldest goes when another is made.  One of 2,048 positions takes 130 to 820 MB."""


@dataclass(frozen=True)
class Subject:
    """What is evaluated: an artifact as it is run, on a device with its properties."""

    artifact: Path
    runtime: str
    device: str = "cpu"
    properties: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Session) -> Subject:
        """What a session runs."""
        facts = session.facts
        return cls(
            Path(facts["artifact"]), facts["runtime"], facts["device"], dict(facts["properties"])
        )

    @classmethod
    def pinned(cls, folder: Path) -> Subject:
        """An artifact on the CPU, computed in float32 where its runtime can be told to.

        Raises:
            ArtifactError: it holds nothing that a runtime here opens.
        """
        runtime = read_artifact(folder).target
        return cls(folder, runtime, "cpu", EXACT if runtime == "openvino" else {})

    @property
    def has_logits(self) -> bool:
        """Whether its runtime gives scores on this device."""
        kind = kind_of(self.device.partition(" ")[0])  # "NPU (emulated)"
        return RUNTIMES.get(self.runtime).capabilities(kind).logits

    @property
    def identity(self) -> dict[str, Any]:
        """All that its scores depend on, ready for JSON."""
        return {
            "model": self.fingerprint,
            "runtime": self.runtime,
            "versions": dict(sorted(installed().items())),
            "device": self.device.lower(),
            "properties": dict(sorted(self.properties.items())),
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the artifact's model and tokenizer files together, in hexadecimal."""
        names = sorted(
            file.name
            for file in self.artifact.iterdir()
            if file.suffix in _MODEL_FILES or file.name == TOKENIZER
        )
        return fingerprint(self.artifact, tuple(names))

    @property
    def context(self) -> int | None:
        """Tokens that the model can see at once; None where its folder does not say."""
        return read_context(self.artifact)

    def tokenizer(self) -> Tokenizer:
        """The artifact's own.

        Raises:
            ArtifactError: it has none.
        """
        return Tokenizer.from_folder(self.artifact)

    def scorer(self) -> Scorer:
        """Load it to be scored; errors are those of `aipc.runtimes.base.Runtime.scorer`."""
        return RUNTIMES.get(self.runtime).scorer(self.artifact, self.device, self.properties)


def find_reference(
    artifact: Path, named: str | None, store: Store, progress: Progress, notify: Notify
) -> Subject:
    """The reference of an artifact: ``named``, or the checkpoint that it was made from.

    What is no artifact is converted to fp16, into the store, once.

    Raises:
        MeasurementError: nobody knows the checkpoint, or it is not there or another by now.
        AipcError: it can't be fetched or converted.
    """
    source = names.resolve(named, store) if named else _origin(artifact)
    if isinstance(source, ArtifactSource):
        return Subject.pinned(source.path)
    announce(model_name(source), source, store, notify)
    made = prepare(source, FLOAT, store, progress=progress, notify=notify)
    if not named:
        _check_same_weights(artifact, made.path)
    return Subject.pinned(made.path)


def _origin(artifact: Path) -> Source:
    stated = dict(read_artifact(artifact).facts.get("source", {}))
    adapters = stated.pop("adapters", ())
    try:
        base = _checkpoint(artifact, stated)
        if not adapters:
            return base
        return AdaptedSource(base, tuple(_adapter(artifact, dict(one)) for one in adapters))
    except (TypeError, KeyError) as error:
        raise _unknown(artifact) from error


def _checkpoint(artifact: Path, stated: dict[str, Any]) -> CheckpointSource:
    kind = stated.pop("kind", None)
    stated.pop("files", None)
    if kind in _LOCAL:
        return _LOCAL[kind](_still_there(artifact, stated))
    if kind == "hub":
        return HubSource(**stated)
    if kind == "wheel":
        return WheelSource(**stated)
    raise _unknown(artifact)


def _adapter(artifact: Path, stated: dict[str, Any]) -> AdapterSource:
    if stated["kind"] == "folder":
        return AdapterSource(FolderSource(_still_there(artifact, stated)), stated["scale"])
    return AdapterSource(HubAdapterSource(stated["repo"], stated["revision"]), stated["scale"])


def _still_there(artifact: Path, stated: Mapping[str, Any]) -> Path:
    path = Path(stated["path"])
    if not path.exists():
        raise MeasurementError(
            f"the float model of '{artifact.name}', '{path}', is not there any more", _FIX
        )
    return path


def _unknown(artifact: Path) -> MeasurementError:
    return MeasurementError(f"nobody knows what '{artifact.name}' was made from", _FIX)


def _check_same_weights(artifact: Path, reference: Path) -> None:
    """A checkpoint on the user's disk, or a branch on the hub, may have changed since."""
    ours, theirs = (_files(folder) for folder in (artifact, reference))
    if ours != theirs:
        raise MeasurementError(
            f"the model that '{artifact.name}' was made from has changed since then",
            "convert it again, or name its float model with --against MODEL",
        )


def _files(folder: Path) -> Mapping[str, Any]:
    source = read_artifact(folder).facts.get("source", {})
    adapters = {str(i): one.get("files") for i, one in enumerate(source.get("adapters", ()))}
    return {**source.get("files", {}), **adapters}


def find_logprobs(folder: Path, key: str) -> npt.NDArray[np.float16] | None:
    """What is kept under ``key``, mapped from the disk; None where there is none."""
    try:
        kept: npt.NDArray[np.float16] = np.load(_file(folder, key), mmap_mode="r")
    except (OSError, ValueError):
        return None
    _file(folder, key).touch()
    return kept


def compute_logprobs(
    folder: Path, key: str, scorer: Scorer, windows: Sequence[Window]
) -> npt.NDArray[np.float16]:
    """Compute the reference's log-probabilities, keep them under ``key`` and map them.

    Raises:
        MeasurementError: the disk has no room.
        EngineError: the scorer's.
    """
    final = _file(folder, key)
    positions = sum(window.places for window in windows)
    with disk.explained(folder, MeasurementError), replacing(final) as draft:
        _write(draft, scorer, windows, positions)
    _forget_oldest(folder)
    kept: npt.NDArray[np.float16] = np.load(final, mmap_mode="r")
    return kept


def _write(draft: Path, scorer: Scorer, windows: Sequence[Window], positions: int) -> None:
    rows = judged(scorer, windows)
    first = next(rows)
    vocabulary = first[0].shape[1]
    disk.require(draft.parent, 2 * positions * vocabulary, "the reference's text", MeasurementError)
    kept = np.lib.format.open_memmap(draft, "w+", np.float16, (positions, vocabulary))
    done = 0
    for scores, _ in chain([first], rows):
        kept[done : done + len(scores)] = log_softmax(scores)
        done += len(scores)
    kept.flush()


def _forget_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.npy"), key=lambda file: file.stat().st_mtime)
    for file in files[:-KEPT]:
        with suppress(OSError):  # another process reads it, and Windows keeps it then
            file.unlink()


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.npy"
