"""What answers were made of: nodes that convert for themselves may have different artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aipc.batch.answers import LineAnswer
from aipc.progress import Notify


class SeenArtifacts:
    """Tells, once for each model, that its answers are of different artifacts."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._first: dict[str, Mapping[str, Any]] = {}
        """By the model's name in answers: the ``aipc`` member of the first one."""
        self._told: set[str] = set()

    def see(self, answer: LineAnswer) -> None:
        made, model = answer.aipc or {}, (answer.body or {}).get("model")
        if not made.get("artifact") or not model:
            return
        first = self._first.setdefault(model, made)
        if made["artifact"] != first["artifact"] and model not in self._told:
            self._told.add(model)
            before = "before" if made["node"] == first["node"] else f"node {first['node']}"
            self._notify(
                f"node {made['node']} has another artifact of {model} than {before}: the answers' "
                "aipc member tells them apart; --model-from gives all nodes one"
            )
