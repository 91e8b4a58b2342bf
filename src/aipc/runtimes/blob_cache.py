"""Where a runtime keeps what it compiled or arranged for one device, so that it does so once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

READY = "ready_weights"
"""The fact of an engine: whether its weights were kept arranged; none where they can't be."""


class BlobCache(Protocol):
    """Folders of one artifact on one device; `aipc.models.blobs.Blobs` keeps them on the disk."""

    def find(self, configuration: Mapping[str, Any]) -> Path | None:
        """The folder of the sound blob of exactly this configuration, or None."""

    def making(
        self, configuration: Mapping[str, Any], needed: int
    ) -> AbstractContextManager[Path | None]:
        """The folder to write it to, about ``needed`` bytes; None where another process just has.

        Raises:
            AipcError: there is no room, or no permission.
        """

    def discard(self, configuration: Mapping[str, Any]) -> None:
        """Forget one that can't be used after all."""
