"""A store that has its models from another."""

from __future__ import annotations

from pathlib import Path

from aipc.models.store import Store

MODELS = ("checkpoints", "artifacts", "probed")


def linked(models: Store, home: Path) -> Store:
    """In the folder ``home``, with the models of another and with servers of its own."""
    for name in MODELS:
        (models.home / name).mkdir(parents=True, exist_ok=True)
        (home / name).symlink_to(models.home / name)
    return Store(home)
