"""All that is found out about a model's quality, in one versioned result."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aipc
from aipc import records
from aipc.errors import MeasurementError, UsageError
from aipc.measure.bench.lineup import artifact_facts
from aipc.measure.bench.result import ArtifactFacts, MachineFacts, machine_facts
from aipc.measure.quality.degenerate import AnswerChecks, check_answers
from aipc.measure.quality.divergence import Agreement, measure_agreement
from aipc.measure.quality.quality import (
    EvaluationText,
    Quality,
    measure_quality,
    reference_logprobs,
    shared_windows,
)
from aipc.measure.quality.reference import Subject, find_reference
from aipc.measure.quality.tasks import Scores, ask_tasks
from aipc.models.store import Store
from aipc.progress import Notify, Progress

if TYPE_CHECKING:
    from aipc.session.session import Session

SCHEMA = 2
_READ = (1, SCHEMA)
"""Schemas that can be read: in the first, machines had no id."""
NONE = "none"
ASKED_PLACES = 64
"""Judged by answers where there are no scores; each costs a prompt of up to a window."""


@dataclass(frozen=True)
class EvaluationOptions:
    """What is to be found out.

    ``against`` names the reference; None is the checkpoint that the model was made from, "none"
    is no reference.  ``tasks``: whether to have it answer questions too.
    """

    exam: EvaluationText
    against: str | None = None
    tasks: bool = True


@dataclass(frozen=True)
class Evaluation:
    """``created`` is ISO 8601, in UTC; ``run`` says which runtime computed where, and how.

    Either ``quality`` is there or, where the device gives no scores, ``agreement``.
    """

    schema: int
    created: str
    aipc: str
    """Its version."""
    model: str
    machine: MachineFacts
    artifact: ArtifactFacts
    run: dict[str, Any]
    quality: Quality | None
    agreement: Agreement | None
    tasks: Scores | None
    answers: AnswerChecks | None


def evaluate(
    load: Callable[[], Session],
    options: EvaluationOptions,
    store: Store,
    progress: Progress,
    notify: Notify,
) -> Evaluation:
    """Judge the model that ``load`` loads; it is closed while its reference is computed.

    Raises:
        UsageError: no reference is wanted where the device gives no scores.
        AipcError: as `aipc.load`, `find_reference` and `measure_quality`.
    """
    with load() as session:
        facts, subject = session.facts, Subject.of(session)
        if options.against == NONE and not subject.has_logits:
            raise UsageError(
                f"{subject.device} gives no scores: it can only be compared with a reference",
                "leave out --against none",
            )
        scores = checks = None
        if options.tasks:
            progress("asking questions with one answer", 0, 0)
            scores = ask_tasks(session)
            progress("asking open questions", 0, 0)
            checks = check_answers(session)
    reference = None
    if options.against != NONE:
        reference = find_reference(subject.artifact, options.against, store, progress, notify)
    quality = agreement = None
    if subject.has_logits:
        quality = measure_quality(subject, reference, options.exam, store, progress)
    elif reference is not None:
        agreement = _agreement(load, subject, reference, options.exam, store, progress)
    return Evaluation(
        schema=SCHEMA,
        created=datetime.now(timezone.utc).isoformat("T", "seconds"),
        aipc=aipc.__version__,
        model=facts["model"],
        machine=machine_facts(),
        artifact=artifact_facts(subject.artifact, subject.properties),
        run={name: facts[name] for name in ("runtime", "version", "device", "properties")},
        quality=quality,
        agreement=agreement,
        tasks=scores,
        answers=checks,
    )


def write(evaluation: Evaluation, file: Path) -> None:
    """Write a new file; errors are those of `aipc.records.write`."""
    records.write(evaluation, file)


def read(file: Path) -> Evaluation:
    """Read a file that `write` wrote.

    Raises:
        MeasurementError: it is missing, damaged, of another schema or no evaluation.
    """
    try:
        table = json.loads(file.read_text("utf-8"))
        if not isinstance(table, dict) or table.get("schema") not in _READ:
            raise records.Misfit(f"it has no schema {' or '.join(map(str, _READ))}")
        table = records.without_hash(table)
        return records.read(Evaluation, {**table, "schema": SCHEMA})
    except OSError as error:
        raise MeasurementError(f"'{file}' can't be read ({error.strerror})", "check it") from error
    except (ValueError, RecursionError) as error:
        fix = "give a file that `aipc eval -o` wrote"
        raise MeasurementError(f"'{file}' is no usable evaluation: {error}", fix) from error


def _agreement(
    load: Callable[[], Session],
    subject: Subject,
    reference: Subject,
    exam: EvaluationText,
    store: Store,
    progress: Progress,
) -> Agreement:
    windows = shared_windows(subject, reference, exam)
    logprobs = reference_logprobs(reference, exam, windows, store, progress)
    with load() as session:
        progress("asking for single tokens", 0, 0)
        flat = list(chain.from_iterable(windows.values()))
        return measure_agreement(session, flat, logprobs, ASKED_PLACES)
