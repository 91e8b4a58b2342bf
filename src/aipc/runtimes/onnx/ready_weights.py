"""Weights kept as the CPU's kernels take them, so that a load maps them and arranges nothing anew.

Measured at Phi-3-mini's size, int4 (docs/speed.md): loading takes 0.8 s of processor time where it
takes 2 to 6, which go into 2 GB of new memory; the pages are a file's, shared between processes.

They hold for one artifact, ONNX Runtime and processor, all of which is in their identity.  At each
load the scores after two tokens are compared with those that the artifact gave: that finds a
processor that chooses other kernels in spite of its name, and what of the file changed enough to
change answers, in 0.2 s, where hashing 2 GB takes one or two.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc import telemetry
from aipc.artifact.files import ONNX_MODEL, ONNX_WEIGHTS
from aipc.artifact.lora import Factors
from aipc.artifact.manifest import FILE
from aipc.devices.system.cpu import read_cpu
from aipc.devices.wheels import installed
from aipc.errors import AipcError, ArtifactError, UsageError
from aipc.progress import Notify, Progress, silent
from aipc.runtimes.blob_cache import READY, BlobCache
from aipc.runtimes.onnx.batch_engine import BatchEngine
from aipc.runtimes.onnx.engine import ONNXEngine
from aipc.runtimes.onnx.packed_model import save_packed
from aipc.runtimes.onnx.provider import PROVIDER
from aipc.runtimes.onnx.runtime import ONNXRuntime, ONNXScorer
from aipc.runtimes.vendor_errors import translated

_FORM = 1
"""Of what `save_packed` writes."""
_SCORES = "scores.npy"
_TOKENS = (0, 1)
"""Of any kind; a second one reads the keys of the first, so every matrix counts."""
_TOLERANCE = 0.01
"""Of the largest score: threads may add in another order, and other weights give other scores."""
_OTHER_GRAPH = frozenset({PROVIDER, "graph_optimization_level"})
_FULL_COPY = 3.5 if sys.platform == "win32" else 2.5
"""Of the artifact's size: room for both forms, of which one stays; see `packed_model._keys`."""


def made_for() -> dict[str, Any]:
    """All that they depend on, but the model: packages, processor, form."""
    cpu, found = read_cpu(), installed()
    return {
        "onnxruntime": {name: found[name] for name in found if name.startswith("onnxruntime")},
        "processor": [cpu.name, cpu.architecture, *cpu.features],
        "form": _FORM,
    }


class ReadyWeights:
    """Those of one artifact, on this processor."""

    def __init__(self, artifact: Path, blobs: BlobCache) -> None:
        self._artifact = artifact
        self._blobs = blobs
        self._made_for = made_for()

    def open(
        self,
        properties: Mapping[str, str],
        notify: Notify,
        adapters: Mapping[str, Factors] | None = None,
    ) -> ONNXEngine | BatchEngine | None:
        """An engine with them; None where there are none, or none that can be used.

        Those that can't be used are removed, and ``notify`` is told.

        Raises:
            UsageError: properties or adapters that the model can't have, whatever its weights.
        """
        folder = self._blobs.find(self._made_for)
        if folder is None:
            return None
        engine = None
        try:
            engine = ONNXRuntime().open(folder, "cpu", properties, adapters)
            _compare(_scores(engine), np.load(folder / _SCORES, allow_pickle=False))
        except UsageError:
            raise
        except (AipcError, OSError, ValueError) as error:
            if engine is not None:
                engine.close()
            notify(f"the weights kept ready are unusable ({error}); the artifact's own are loaded")
            self._blobs.discard(self._made_for)
            return None
        return engine

    def make(self, progress: Progress = silent) -> bool:
        """Make them, unless they are there; whether they were made.

        Takes the memory of one loaded model, and for a while the disk of two.

        Raises:
            ArtifactError: no room, ONNX Runtime has nothing to arrange in this model, or what it
                saved gives other scores.
            EngineError: ONNX Runtime failed.
        """
        telemetry.switch_off()
        with self._blobs.making(self._made_for, room_for(self._artifact)) as folder:
            if folder is None:
                return False
            progress("arranging the weights for this processor", 0, 0)
            with translated("the weights can't be kept ready"):
                save_packed(self._artifact / ONNX_MODEL, folder)
            self._copy_rest(folder)
            scores = _loaded_scores(self._artifact)
            _compare(_loaded_scores(folder), scores)
            np.save(folder / _SCORES, scores, allow_pickle=False)
        return True

    def _copy_rest(self, folder: Path) -> None:
        """Configuration and tokenizer: the folder is one that ONNX Runtime GenAI opens."""
        for file in self._artifact.iterdir():
            if file.is_file() and file.name not in {ONNX_MODEL, ONNX_WEIGHTS, FILE}:
                shutil.copyfile(file, folder / file.name)


def open_on_cpu(
    artifact: Path,
    properties: Mapping[str, str],
    blobs: BlobCache | None,
    notify: Notify,
    adapters: Mapping[str, Factors] | None = None,
) -> ONNXEngine | BatchEngine:
    """As `ONNXRuntime.open` on the CPU, with ready weights where ``blobs`` has them.

    ``blobs`` is None for an artifact whose weights can't be told by a hash.
    """
    if blobs is None or _OTHER_GRAPH & set(properties) or not _is_plain(artifact):
        return ONNXRuntime().open(artifact, "cpu", properties, adapters)
    engine = ReadyWeights(artifact, blobs).open(properties, notify, adapters)
    is_ready = engine is not None
    if engine is None:
        engine = ONNXRuntime().open(artifact, "cpu", properties, adapters)
    engine.facts = {**engine.facts, READY: is_ready}
    return engine


def room_for(artifact: Path) -> int:
    """Bytes of disk that making them takes for a while."""
    return int(_FULL_COPY * (artifact / ONNX_WEIGHTS).stat().st_size)


def _is_plain(artifact: Path) -> bool:
    """Whether the model and its weights are in the files where ours are."""
    return (artifact / ONNX_MODEL).is_file() and (artifact / ONNX_WEIGHTS).is_file()


def _loaded_scores(folder: Path) -> npt.NDArray[np.float32]:
    with closing(ONNXRuntime().open(folder, "cpu", {})) as engine:
        return _scores(engine)


def _scores(engine: ONNXEngine | BatchEngine) -> npt.NDArray[np.float32]:
    """float32 [vocabulary]: what may follow `_TOKENS`."""
    *_, rows = ONNXScorer(engine).logits(_TOKENS)
    scores: npt.NDArray[np.float32] = rows[-1]
    return scores


def _compare(found: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> None:
    """Refuse other scores.

    Raises:
        ArtifactError: they are not what was wanted.
    """
    is_same = found.shape == wanted.shape and bool(
        np.abs(found - wanted).max() <= _TOLERANCE * np.abs(wanted).max()
    )
    if not is_same:
        raise ArtifactError("with them the model computes something else")
