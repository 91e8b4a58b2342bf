"""Weights kept ready for the CPU, made when an answer is over: by a process of its own, once.

``python -m aipc.session.ready ARTIFACT HOME`` is that process.  It comes last for the processor
and one at a time, and ends by itself, however the one that started it ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aipc import disk
from aipc.child import safe_environment
from aipc.devices.system.memory import read_memory
from aipc.errors import AipcError, ArtifactError
from aipc.models import staging
from aipc.models.blobs import Blob, list_blobs, remove_blob
from aipc.models.store import Store
from aipc.progress import Notify, Progress, silent
from aipc.runtimes.blob_cache import READY
from aipc.runtimes.onnx.ready_weights import ReadyWeights, made_for, room_for
from aipc.session.place import cpu_blobs, cpu_identity
from aipc.units import amount

SWITCH = "AIPC_READY_WEIGHTS"
"""The environment's variable: 0 makes none by itself."""
_LEAST = 1 << 30
"""Bytes that they take while they are made; those of fewer load in a moment."""
_WIDENED = "fp16"
"""The CPU computes with them in 32 bits, so they would take twice the artifact's room."""
_AGAIN_S = 24 * 3600
"""Until an attempt that failed is repeated."""


def make_ready(artifact: Path, store: Store, progress: Progress = silent) -> bool:
    """Make an ONNX artifact's weights ready for this processor; whether it was not done before.

    Those of the same artifact for this processor that are out of date are removed.

    Raises:
        AipcError: as `ReadyWeights.make`, and for a folder that no manifest tells from others.
    """
    blobs = cpu_blobs(artifact, store)
    if blobs is None:
        what = f"'{artifact}' has no aipc.json, which tells its weights by their hash"
        raise ArtifactError(what, "convert the model with aipc")
    if not ReadyWeights(artifact, blobs).make(progress):
        return False
    now = ready_identity(artifact)
    for blob in list_blobs(store.blobs):
        if is_ready(blob) and _is_outdated(blob, now):
            with suppress(ArtifactError, OSError):  # at work, or mapped on Windows: prune takes it
                remove_blob(store.blobs, blob.name)
    return True


def make_later(
    facts: Mapping[str, Any], store: Store, notify: Notify
) -> subprocess.Popen[bytes] | None:
    """Start the process for the model of a session, by its ``facts``, where that is worth it.

    The facts have to have `READY`: in other sessions there is nothing to arrange.

    ``notify`` is told, and why not where the disk or the memory is short; once a day at most.
    """
    is_left = "server" in facts or os.environ.get(SWITCH) == "0"
    if facts[READY] or is_left or facts["weights"] == _WIDENED:
        return None
    artifact = Path(facts["artifact"])
    log = _log(artifact, store)
    if room_for(artifact) < _LEAST or _is_recent(log):
        return None
    try:
        store.blobs.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as errors:
            _check_room(artifact, store)
            started = _start(artifact, store, errors)
    except (AipcError, OSError) as error:
        notify(f"the weights are not kept ready for the next load: {error}")
        return None
    notify(
        "arranging the weights for this processor in the background, once, so that they load "
        f"faster ({SWITCH}=0 leaves it)"
    )
    return started


def main() -> None:
    """Make them, last in the line for the processor; the log stays where that fails."""
    artifact, store = Path(sys.argv[1]), Store(Path(sys.argv[2]))
    if hasattr(os, "nice"):
        os.nice(19)
    try:
        with staging.locked(store.blobs / "background", wait=False):
            make_ready(artifact, store)
    except AipcError as error:
        sys.exit(f"{error}")
    with suppress(OSError):
        _log(artifact, store).unlink()


def is_ready(blob: Blob) -> bool:
    """Whether a blob is ready weights."""
    return "onnxruntime" in blob.identity


def ready_identity(artifact: Path) -> dict[str, Any]:
    """What the identity of an artifact's ready weights has to be, here and now."""
    return {**cpu_identity(artifact), **made_for()}


def _is_outdated(blob: Blob, now: Mapping[str, Any]) -> bool:
    """Whether ``now`` has taken its place: the same artifact, for the same processor."""
    was = blob.identity
    is_same = all(was[name] == now[name] for name in ("artifact", "processor"))
    return is_same and was != now


def _log(artifact: Path, store: Store) -> Path:
    return store.blobs / f".{artifact.name}.log"


def _is_recent(log: Path) -> bool:
    return log.exists() and time.time() - log.stat().st_mtime < _AGAIN_S


def _check_room(artifact: Path, store: Store) -> None:
    """Refuse where it would be in the way.

    Raises:
        ArtifactError: with what is needed and what is free.
    """
    needed, free = room_for(artifact), read_memory().available
    disk.require(store.blobs, needed, "keeping them", ArtifactError)
    if free < needed:  # both forms are in memory for a moment
        raise ArtifactError(f"that needs {amount(needed)} of memory, {amount(free)} are free")


def _start(artifact: Path, store: Store, errors: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "aipc.session.ready", str(artifact), str(store.home)]
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = subprocess.IDLE_PRIORITY_CLASS | subprocess.DETACHED_PROCESS
        apart = {"creationflags": flags}
    nothing = subprocess.DEVNULL
    return subprocess.Popen(
        command, stdin=nothing, stdout=nothing, stderr=errors, env=safe_environment(), **apart
    )


if __name__ == "__main__":
    main()
