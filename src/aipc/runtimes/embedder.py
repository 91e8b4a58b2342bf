"""The protocol of every model that makes vectors of texts; `openvino/embedding.py` has the one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

KINDS = frozenset({"cpu", "gpu"})
"""Families of devices that one can be opened on."""


class Embedder(Protocol):
    """A model loaded to make vectors of texts; its methods may be called from any thread."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is stated about it, ready for JSON: runtime, version, device, pooling …"""

    @property
    def width(self) -> int:
        """Numbers of a vector."""

    @property
    def context(self) -> int | None:
        """Tokens that a text may have; None where the model does not report it."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, as the model gets it.

        Raises:
            EngineError: the vendor's runtime failed.
        """

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Float32 [texts, width]; a text's vector does not depend on the others.

        All are computed at once: give as many as are small beside the model.

        Raises:
            PromptTooLong: a text has more tokens than ``context``.
            EngineError: a closed embedder, or the vendor's runtime failed.
        """

    def close(self) -> None:
        """Free the model and the device; a second call does nothing."""
