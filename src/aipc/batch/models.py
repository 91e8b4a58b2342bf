"""The models that answer a batch, by the names that its lines have for them."""

from __future__ import annotations

from collections.abc import Mapping

from aipc.batch.input.lines import CheckedInput
from aipc.errors import AipcError, UsageError
from aipc.models.store import Store
from aipc.pool.model_registry import ModelCard, ModelRegistry
from aipc.wire.openai.urls import EMBEDDINGS, RERANK


class BatchModels:
    """``chosen`` answers all lines; None: each line's own.

    Raises:
        UsageError: one can't answer what it is asked.
        ModelError: there is no such model.
    """

    def __init__(self, lines: CheckedInput, chosen: ModelRegistry | None, store: Store) -> None:
        named = list(dict.fromkeys(model for model, _ in lines.entries.targets))
        try:
            self.registry = chosen or ModelRegistry(named, store, only_named=True)
        except AipcError as error:
            fix = f"{error.fix}; -m MODEL has one model answer all lines" if error.fix else ""
            raise type(error)(error.what, fix) from error
        cards = self.registry.cards()
        called = named if chosen else cards  # a path in the lines has another name as a card
        self.cards: Mapping[str, ModelCard] = {
            model: cards[name] for model, name in zip(named, called, strict=True)
        }
        """By the name in the lines."""
        for model, url in lines.entries.targets:
            _check_kind(self.cards[model], url)


def _check_kind(card: ModelCard, url: str) -> None:
    wanted = {EMBEDDINGS: "embeddings", RERANK: "scores"}.get(url)
    if card.is_here and card.task != wanted:
        what = f"makes no {wanted}" if wanted else f"makes {card.task} and writes no text"
        raise UsageError(f"'{card.name}' {what}, and lines ask it by {url}", "name another model")
