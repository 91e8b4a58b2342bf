"""How much of its float original a model keeps: perplexity, divergence, agreement on a text.

What is compared: the distribution of the next token after each position of a text, both models
given the same tokens before it.  Results are kept in the store, keyed by all they depend on:

    HOME/quality/KEY.json
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc import records
from aipc.errors import MeasurementError
from aipc.measure.quality.divergence import PositionScores, compare
from aipc.measure.quality.passages import (
    Cut,
    Passage,
    Window,
    cut_passages,
    identity,
    read_passages,
)
from aipc.measure.quality.reference import Subject, compute_logprobs, find_logprobs, find_reference
from aipc.measure.statistics import Interval, exponential, of_mean
from aipc.models.store import Store
from aipc.progress import Notify, Progress, silent, unheard

REVISION = 1
"""Of the method; another one makes what is kept worthless."""


@dataclass(frozen=True)
class TextFacts:
    """The text judged on: judged ``places`` by passage, and how it was cut."""

    names: tuple[str, ...]
    sha256: str
    places: Mapping[str, int]
    window: int
    overlap: int


@dataclass(frozen=True)
class Quality:
    """Found at every judged position of a text; None where there was no reference to compare with.

    The intervals show how much another stretch of such text could differ.
    """

    text: TextFacts
    loss: Interval
    """Mean negative log-likelihood of the token that follows, in nats."""
    perplexity: Interval
    """The exponential of ``loss``."""
    reference_perplexity: Interval | None
    perplexity_ratio: Interval | None
    """The model's over the reference's, position by position, and so better known than either."""
    kl: Interval | None
    """Mean divergence of the model from the reference, in nats."""
    kl_by_passage: Mapping[str, float]
    top1: Interval | None
    """Share of positions where the token the model thinks likeliest is the reference's too."""
    top5: Interval | None
    """Share where it is among the reference's five likeliest."""
    scored: Mapping[str, Any]
    """The runtime, device and numerics that gave the scores."""
    reference: Mapping[str, Any] | None
    """Likewise, of the reference."""


@dataclass(frozen=True)
class EvaluationText:
    """A text, cut: what models are judged on."""

    passages: tuple[Passage, ...]
    cut: Cut = Cut()  # noqa: RUF009 - frozen

    @property
    def identity(self) -> dict[str, Any]:
        """All that it consists of, ready for JSON."""
        return {"text": identity(self.passages), **records.plain(self.cut), "revision": REVISION}

    def windows(self, subject: Subject) -> dict[str, list[Window]]:
        """In the tokens of a model.

        Raises:
            MeasurementError: as `cut_passages`, or windows that the model's context can't hold.
        """
        tokenizer = subject.tokenizer()

        def encode(text: str) -> Sequence[int]:
            return tokenizer.encode(text, add_special_tokens=True)

        found = cut_passages(self.passages, encode, self.cut)
        _check_context(subject, found)
        return found


def measure_kl(
    artifact: Path,
    *,
    runtime: str = "openvino",
    device: str = "cpu",
    properties: Mapping[str, str] | None = None,
    tokens: int = 1024,
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = unheard,
) -> Quality:
    """Judge an artifact, run so, against the float checkpoint it was made from; or recall it.

    For a program that compares candidates: the builtin text, of which ``tokens`` positions.

    Raises:
        AipcError: as `find_reference` and `measure_quality`.
    """
    store = store or Store()
    subject = Subject(artifact, runtime, device, properties or {})
    reference = find_reference(artifact, None, store, progress, notify)
    exam = EvaluationText(read_passages(), Cut(tokens=tokens))
    return measure_quality(subject, reference, exam, store, progress)


def measure_quality(
    subject: Subject,
    reference: Subject | None,
    exam: EvaluationText,
    store: Store,
    progress: Progress = silent,
) -> Quality:
    """Judge a model by a text and, where given, against a reference; or recall what was found.

    One model is loaded at a time.

    Raises:
        MeasurementError: the text is too short, the two models have different tokens, or the
            scores are no numbers.
        AipcError: a model can't be loaded or run.
    """
    identity = [subject.identity, reference and reference.identity, exam.identity]
    cache = records.JsonCache(store.home / "quality")
    with suppress(records.Misfit):  # kept by another version of aipc
        if (kept := cache.find(identity)) is not None:
            return records.read(Quality, kept)
    found = _measure(subject, reference, exam, store, progress)
    cache.keep(identity, records.plain(found))
    return found


def shared_windows(
    subject: Subject, reference: Subject, exam: EvaluationText
) -> dict[str, list[Window]]:
    """The text in the tokens of both models, which can be compared position by position.

    Raises:
        MeasurementError: as `EvaluationText.windows`, or they read it in different tokens.
    """
    windows = exam.windows(subject)
    if exam.windows(reference) != windows:
        raise MeasurementError(
            f"'{subject.artifact.name}' and '{reference.artifact.name}' read the text in "
            "different tokens",
            "name the float model that it was made from with --against",
        )
    return windows


def reference_logprobs(
    reference: Subject,
    exam: EvaluationText,
    windows: Mapping[str, Sequence[Window]],
    store: Store,
    progress: Progress,
) -> npt.NDArray[np.float16]:
    """The reference's log-probabilities [positions, vocabulary]; computed where none are kept.

    ``windows`` are the text in its tokens.
    """
    folder, key = store.home / "references", records.key_of([reference.identity, exam.identity])
    kept = find_logprobs(folder, key)
    if kept is not None:
        return kept
    progress("scoring the float reference", 0, 0)
    with closing(reference.scorer()) as scorer:
        return compute_logprobs(folder, key, scorer, _joined(windows))


def _measure(
    subject: Subject,
    reference: Subject | None,
    exam: EvaluationText,
    store: Store,
    progress: Progress,
) -> Quality:
    if reference is None:
        windows, logprobs = exam.windows(subject), None
    else:
        windows = shared_windows(subject, reference, exam)
        logprobs = reference_logprobs(reference, exam, windows, store, progress)
    progress("scoring the model", 0, 0)
    with closing(subject.scorer()) as scorer:
        positions = compare(scorer, _joined(windows), logprobs)
        scored = dict(scorer.facts)
    return _quality(positions, windows, exam, scored, reference.identity if reference else None)


def _quality(
    positions: PositionScores,
    windows: Mapping[str, Sequence[Window]],
    exam: EvaluationText,
    scored: Mapping[str, Any],
    reference: Mapping[str, Any] | None,
) -> Quality:
    loss = of_mean(positions.loss)
    counts = {name: sum(one.places for one in found) for name, found in windows.items()}
    is_compared = reference is not None
    return Quality(
        text=TextFacts(
            tuple(windows), identity(exam.passages), counts, exam.cut.window, exam.cut.overlap
        ),
        loss=loss,
        perplexity=exponential(loss),
        reference_perplexity=(
            exponential(of_mean(positions.reference_loss)) if is_compared else None
        ),
        perplexity_ratio=(
            exponential(of_mean(positions.loss - positions.reference_loss)) if is_compared else None
        ),
        kl=of_mean(positions.kl) if is_compared else None,
        kl_by_passage=_by_passage(positions.kl, counts) if is_compared else {},
        top1=of_mean(positions.rank < 1) if is_compared else None,
        top5=of_mean(positions.rank < 5) if is_compared else None,
        scored=scored,
        reference=reference,
    )


def _by_passage(values: npt.NDArray[np.float32], counts: Mapping[str, int]) -> dict[str, float]:
    edges = np.cumsum(list(counts.values()))[:-1]
    parts = np.split(values, edges)
    return {name: float(part.mean()) for name, part in zip(counts, parts, strict=True)}


def _check_context(subject: Subject, windows: Mapping[str, Sequence[Window]]) -> None:
    """A vendor's folder may not state its context."""
    context, longest = subject.context, max(len(one.ids) for one in _joined(windows))
    if context is not None and longest > context:
        raise MeasurementError(
            f"a window of {longest:,} tokens does not fit the context of '{subject.artifact.name}'",
            f"give --window {context} or less",
        )


def _joined(windows: Mapping[str, Sequence[Window]]) -> list[Window]:
    return list(chain.from_iterable(windows.values()))
