"""Artifacts that are made only to be measured, and are known as such to the next search too.

    HOME/tuned/unfinished/…json

A search that is killed can't remove them: they are whole, and nobody asked for them.
"""

from __future__ import annotations

from contextlib import suppress

from aipc.errors import ModelNotFound
from aipc.models.source import Source
from aipc.models.store import Store
from aipc.records import JsonCache


class PassingArtifacts:
    """Those of one model in a store, by their keys."""

    def __init__(self, source: Source, store: Store) -> None:
        self._store = store
        self._kept = JsonCache(store.tuned / "unfinished")
        self._about = {"model": source.name}
        self._keys = set(self._kept.find(self._about) or ())

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, key: str) -> None:
        """To be called before it is made."""
        if key not in self._keys:
            self._keys.add(key)
            self._keep()

    def remove(self, spared: str) -> None:
        """All of them from the store, but the one that is to stay.

        Raises:
            ArtifactError: another process is at one of them.
        """
        for key in sorted(self._keys - {spared}):
            with suppress(ModelNotFound):  # it was never made
                self._store.remove(key)
        if self._keys:
            self._keys.clear()
            self._keep()

    def _keep(self) -> None:
        self._kept.keep(self._about, sorted(self._keys))
