"""Many prompts from a file: ``from aipc import batch; batch.run("in.jsonl", "out.jsonl")``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aipc.batch.options import BatchOptions
    from aipc.batch.runner import BatchSummary, run

__all__ = ["BatchOptions", "BatchSummary", "run"]


def __getattr__(name: str) -> Any:
    """Import at first use: the command's help needs the options alone."""
    if name in {"BatchSummary", "run"}:
        from aipc.batch import runner

        return getattr(runner, name)
    if name == "BatchOptions":
        from aipc.batch.options import BatchOptions

        return BatchOptions
    raise AttributeError(f"module 'aipc.batch' has no attribute '{name}'")
