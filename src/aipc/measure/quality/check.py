"""What a conversion lost, on a few hundred tokens: the artifact against the float network.

The float side is computed in numpy straight from the checkpoint, some rows at a time, so that it
takes no second artifact and little memory.  The other side is the runtime itself with the artifact
as it was written, on the CPU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aipc.checkpoint import Checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.convert.network import Network
from aipc.convert.plans.planning import reads_whole_texts
from aipc.convert.quality import ConversionQuality, ReadingQuality
from aipc.convert.quantizers.activations import (
    READ_WEIGHTS,
    logits,
    matrix_inputs,
    read_matrix,
    row_ranges,
)
from aipc.measure.quality.divergence import compare, log_softmax
from aipc.measure.quality.passages import Cut, Window, cut_passages, read_passages
from aipc.measure.quality.reference import Subject
from aipc.measure.quality.vectors import check_reader
from aipc.progress import Progress, silent

HEAD_POSITIONS = 128
"""Positions whose scores are computed at once: 100 MB where a vocabulary has 200,000 entries."""


@dataclass(frozen=True)
class TextCheck:
    """A `ConversionCheck` on the builtin text that `aipc eval` judges by.

    Numerics are pinned where the runtime lets them be (`Subject.pinned`), so that what is found is
    what the stored weights lost, on whatever device they will run.
    """

    tokens: int = 512
    """That are judged, half of them in each text."""

    def __call__(
        self, checkpoint: Checkpoint, artifact: Path, progress: Progress = silent
    ) -> ConversionQuality | ReadingQuality:
        """Mean divergence and agreement of the next token, at every judged position.

        Of a model that writes no text as `check_reader`.

        Raises:
            UnsupportedModel: a network that can't be computed here.
            MeasurementError: the artifact's scores are no numbers.
            AipcError: it can't be loaded or run.
        """
        if reads_whole_texts(checkpoint):
            return check_reader(checkpoint, artifact, progress)
        network, subject = read_network(checkpoint), Subject.pinned(artifact)
        windows = self._windows(subject, network.context)
        progress("running the float network on a text", 0, 0)
        reference = float_logprobs(checkpoint, network, windows)
        progress("scoring the artifact on it", 0, 0)
        with closing(subject.scorer()) as scorer:
            positions = compare(scorer, windows, reference)
            scored = dict(scorer.facts)
        return ConversionQuality(
            kl=float(positions.kl.mean()),
            same_top=float((positions.rank < 1).mean()),
            tokens=len(positions),
            measured=True,
            scored=scored,
        )

    def _windows(self, subject: Subject, context: int) -> list[Window]:
        """One window of each text, as long as the others; shorter where the context is."""
        tokenizer, passages = subject.tokenizer(), read_passages()

        def encode(text: str) -> Sequence[int]:
            return tokenizer.encode(text, add_special_tokens=True)

        begin = len(encode(""))
        places = min(self.tokens // len(passages), context - begin - 1)
        cut = Cut(tokens=places * len(passages), window=begin + places + 1, overlap=1)
        return list(chain.from_iterable(cut_passages(passages, encode, cut).values()))


def float_logprobs(
    checkpoint: Checkpoint, network: Network, windows: Sequence[Window]
) -> npt.NDArray[np.float16]:
    """The float network's log-probabilities [positions, vocabulary] at the judged positions.

    As `reference.compute_logprobs` keeps them.  The windows are of one length, and judged from the
    same position on.

    Raises:
        CheckpointError: a checkpoint that can't be read on.
    """
    ids = np.array([window.ids for window in windows], np.int64)
    ((head, inputs),) = deque(matrix_inputs(checkpoint, network, ids), maxlen=1)
    inputs = inputs.reshape(*ids.shape, -1)[:, windows[0].first : -1].reshape(-1, network.hidden)
    logprobs = np.empty((len(inputs), head.rows), np.float16)
    for start in range(0, len(inputs), HEAD_POSITIONS):
        some = inputs[start : start + HEAD_POSITIONS]
        scores = [
            some @ read_matrix(checkpoint, head, *rows).T
            for rows in row_ranges(head.rows, head.columns, READ_WEIGHTS)
        ]
        bent = logits(checkpoint, network, np.concatenate(scores, axis=1))
        logprobs[start : start + len(some)] = log_softmax(bent)
    return logprobs
