"""Convert a decoder that reads whole texts: one vector or score of each, of its last token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.artifact.sentence_model import is_classifier, keeps_logits, read_sentence_model
from aipc.artifact.sentence_modules import token_scores
from aipc.checkpoint import Checkpoint
from aipc.checkpoint.text_network import EMBEDDING, HEAD, SCORE
from aipc.convert.encoders.reader import check_labels
from aipc.convert.network import Network
from aipc.convert.openvino.encoder_plan import check_target, write_whole_texts
from aipc.convert.openvino.ir import write_graph
from aipc.convert.openvino.plan import OpenVINOPlan
from aipc.convert.plans.encoder_plan import module_bytes
from aipc.convert.recipe import Recipe
from aipc.convert.targets import Target
from aipc.errors import CheckpointError, ConversionError
from aipc.progress import Progress, silent

if TYPE_CHECKING:
    from typing_extensions import Self


class HeadlessPlan(OpenVINOPlan):
    """A decoder's plan whose graph keeps nothing from call to call, and ends at the hidden states.

    Where the checkpoint judges texts, the row that makes a score of a hidden state is in the graph.
    """

    writes_text = False

    @classmethod
    def plan(
        cls, checkpoint: Checkpoint, recipe: Recipe, target: Target, progress: Progress = silent
    ) -> Self:
        """As `DecoderPlan.plan`.

        Raises:
            ArtifactError: sentence-transformers' files ask for what is not known here.
        """
        check_target(target)
        if is_classifier(checkpoint.config):
            check_labels(checkpoint)
        if _scores(checkpoint):
            keeps_logits(checkpoint.path)
            _score_row(checkpoint)
        else:
            read_sentence_model(checkpoint.path)
        planned = super().plan(checkpoint.headless(), recipe, target, progress)
        return replace(planned, checkpoint=checkpoint)

    @classmethod
    def check(cls, network: Network, target: Target) -> None:
        super().check(network, target)
        if network.is_hybrid:
            raise ConversionError(
                "some of its blocks convolve or remember, which is built for writing alone",
                "take a model with attention in every block",
            )

    @property
    def nbytes(self) -> int:
        return super().nbytes + module_bytes(self.checkpoint.path)

    @property
    def facts(self) -> Mapping[str, Any]:
        task = "scores" if _scores(self.checkpoint) else "embeddings"
        return {**super().facts, "task": task, "quality": None}

    def write_text(self, folder: Path) -> None:
        self.checkpoint.write_text_files(folder)
        write_whole_texts(folder, self.network.context, has_types=False)

    def write_graph(self, folder: Path) -> None:
        from aipc.convert.openvino.encoder_graph import build_headless

        row = _score_row(self.checkpoint) if _scores(self.checkpoint) else None
        write_graph(partial(build_headless, self.network, score=row), self.layout, folder)


def _scores(checkpoint: Checkpoint) -> bool:
    return is_classifier(checkpoint.config) or token_scores(checkpoint.path) is not None


def _score_row(checkpoint: Checkpoint) -> Any:
    """float32 [1, hidden]: the head's own, or the difference of two tokens' rows.

    Raises:
        CheckpointError: the weights have no such rows.
    """
    tokens = token_scores(checkpoint.path)
    if tokens is not None:
        table = HEAD if HEAD in checkpoint.tensors else EMBEDDING
        rows = [checkpoint.rows(table, one, one + 1) for one in tokens if one is not None]
        return rows[0] - rows[1] if len(rows) > 1 else rows[0]
    row = checkpoint.rows(SCORE)
    if row.shape[0] != 1:
        raise CheckpointError(
            f"{checkpoint.path}: {SCORE} has shape {list(row.shape)}, its config gives one score",
            "take config.json and weights of the same model",
        )
    return row
