"""Read a checkpoint without torch, some rows of a tensor at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aipc.checkpoint.checkpoint import Checkpoint, open_checkpoint
    from aipc.checkpoint.tensors import TensorInfo, Weights

__all__ = ["Checkpoint", "TensorInfo", "Weights", "open_checkpoint"]


def __getattr__(name: str) -> Any:
    """Import the readers at first use: reading a chat template needs none of them."""
    if name in __all__:
        from aipc.checkpoint import checkpoint, tensors

        return getattr(tensors if name == "Weights" else checkpoint, name)
    raise AttributeError(f"module 'aipc.checkpoint' has no attribute '{name}'")
