"""How well documents answer a query: a model that scores them, by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.artifact.config import read_config
from aipc.artifact.sentence_model import keeps_logits
from aipc.convert.encoders.kinds import is_encoder
from aipc.convert.recipe import Recipe
from aipc.models.store import Store
from aipc.progress import Notify, Progress, silent
from aipc.runtimes.encoders.encoder import by_score
from aipc.session.convert import log
from aipc.session.encoders.reader import (
    LoadedReader,
    ReaderOptions,
    TextReader,
    find_folder,
)
from aipc.units import count

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


_NO_TEMPLATE = (
    "the model's chat template has no places for a query and a document: the one is read behind the"
    " other"
)


@dataclass(frozen=True)
class Ranked:
    """One document: its ``index`` among those given, and its ``score``."""

    index: int
    score: float


@dataclass(frozen=True)
class PairScores:
    """float32 [documents], with what was read of each document and its query, in tokens.

    ``cut`` has the tokens that were left out of each pair, 0 of most.
    """

    values: npt.NDArray[np.float32]
    tokens: Sequence[int]
    cut: Sequence[int]


class Reranker(LoadedReader):
    """A loaded model that scores documents by a query; made by `reranker`, a context manager.

    Its methods may be called from any thread.
    """

    def __init__(self, folder: Path, options: ReaderOptions, notify: Notify = log) -> None:
        super().__init__(TextReader(folder, options))
        self._keeps_logits = keeps_logits(folder)
        self._notify = notify
        if not (self._reader.has_pair_template or is_encoder(read_config(folder))):
            notify(_NO_TEMPLATE)
        self.facts: Mapping[str, Any] = {**self._reader.facts, "task": "scores"}

    def score(
        self, query: str, documents: Sequence[str], *, truncate: bool = True
    ) -> npt.NDArray[np.float32]:
        """Float32 [documents], the higher the better.

        From 0 to 1, unless the model's files state that its scores are given as they are.

        Args:
            query: what is looked for.
            documents: any number.
            truncate: leave out the end of a document that is too long beside the query, and notify
                of it.

        Raises:
            PromptTooLong: one is too long, and ``truncate`` is False.
            EngineError: a closed model, or the vendor's runtime failed.
        """
        made = self.read(query, documents, truncate=truncate)
        if short := sum(map(bool, made.cut)):
            what = f"{count(short, 'document')} cut: with the query they have more than"
            self._notify(f"{what} the model's {self.context} tokens")
        return made.values

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        truncate: bool = True,
    ) -> list[Ranked]:
        """The documents by falling score, of equal ones the first first; arguments as `score`'s."""
        scores: list[float] = self.score(query, documents, truncate=truncate).tolist()
        return [Ranked(index, scores[index]) for index in by_score(scores, top_n)]

    def read(self, query: str, documents: Sequence[str], *, truncate: bool = True) -> PairScores:
        """As `score`, with what was read of each document."""
        pairs = self._reader.encode_pairs(query, documents)
        if not truncate:
            self._reader.refuse_cut(pairs)
        values = self._reader.run(pairs)[:, 0]
        if not self._keeps_logits:
            from aipc.convert.quantizers.attention import sigmoid

            values = sigmoid(values)
        return PairScores(values, [len(one.ids) for one in pairs], [one.cut for one in pairs])


def reranker(
    name: str,
    *,
    device: str = "auto",
    runtime: str = "auto",
    properties: Mapping[str, str] | None = None,
    recipe: Recipe | None = None,
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = log,
) -> Reranker:
    """Load a model that scores documents by a query; arguments and errors as `aipc.embedder`'s."""
    options = ReaderOptions(device, properties, recipe, runtime)
    folder = find_folder(name, "scores", options, store, progress, notify)
    return Reranker(folder, options, notify)
