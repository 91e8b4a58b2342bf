"""The checkpoint of a source, fetched and opened, with its adapters merged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aipc.models.source import AdaptedSource, AdapterSource, Source
from aipc.models.store import Store
from aipc.progress import Progress

if TYPE_CHECKING:
    from aipc.checkpoint import Checkpoint
    from aipc.checkpoint.adapters.adapter import LoraAdapter
    from aipc.models.verified import VerifiedFiles


def open_source(source: Source, store: Store, progress: Progress) -> Checkpoint:
    """Open what `Store.fetch` gives for a source; an adapter that does not fit is refused first.

    Its small files are compared with their manifest's hashes; `checkpoint_files` has the others.

    Raises:
        ArtifactError: a file is not the one that was fetched.
        AipcError: as `Store.fetch`, `open_adapter` and `open_checkpoint`.
    """
    from aipc.checkpoint import open_checkpoint

    if not isinstance(source, AdaptedSource):
        return open_checkpoint(_fetch(source, store, progress))
    from aipc.checkpoint.adapters.merged import MergedAdapter

    merged = [
        MergedAdapter(fetch_adapter(one, store, progress), one.strength) for one in source.adapters
    ]
    return open_checkpoint(_fetch(source.base, store, progress), merged)


def checkpoint_files(checkpoint: Checkpoint, store: Store) -> VerifiedFiles:
    return store.verified(_folder(checkpoint.path))


def _fetch(source: Source, store: Store, progress: Progress) -> Path:
    path = store.fetch(source, progress)
    store.verified(_folder(path)).check_small()
    return path


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def fetch_adapter(adapter: AdapterSource, store: Store, progress: Progress) -> LoraAdapter:
    """Open an adapter, fetched where the store lacks it.

    Raises:
        AipcError: as `Store.fetch` and `open_adapter`.
    """
    from aipc.checkpoint.adapters.adapter import open_adapter

    path = _fetch(adapter.source, store, progress)
    store.verified(_folder(path)).check_large()
    return open_adapter(path)
