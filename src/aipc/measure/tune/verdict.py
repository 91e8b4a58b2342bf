"""What a search found: the choice, what it beats and by how much, and what was left out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aipc.choose.measured import Trial, Work
from aipc.choose.setup import Setup
from aipc.errors import MeasurementError
from aipc.measure.tune.goal import NO_SLOWER, answer_seconds, score
from aipc.measure.tune.participants import SetupParticipant

NO_TIME = "no time was left for it"
NOISE = 0.03
"""A gain below this is none, in whichever round."""
MUCH = 0.25
"""A gain that no noise makes in most rounds."""


@dataclass(frozen=True)
class Terms:
    """What a choice is to be made for, within how many seconds."""

    goal: str
    work: Work
    budget_s: float
    max_kl: float | None = None

    @property
    def needs_kl(self) -> bool:
        return self.goal == "quality" or self.max_kl is not None


@dataclass(frozen=True)
class Skipped:
    """A setup that was not measured, or not to the end, and why."""

    setup: Setup
    why: str


@dataclass(frozen=True)
class TuningOutcome:
    """``default`` is what a session takes without measurements; it may be the choice."""

    choice: Trial
    default: Trial
    gain: float
    verdict: str
    """Why this one, in words for a user."""
    trials: tuple[Trial, ...]
    skipped: tuple[Skipped, ...]
    seconds: float


def decide(
    terms: Terms,
    participants: Sequence[SetupParticipant],
    finalists: Sequence[SetupParticipant],
    skipped: tuple[Skipped, ...],
    seconds: float,
) -> TuningOutcome:
    """Choose among ``finalists``; the first of ``participants`` is the default choice.

    Another is chosen only where it is better by more than the noise.

    Raises:
        MeasurementError: none keeps within the bound of divergence.
    """
    default = participants[0]
    limit = NO_SLOWER * default.answer_s(terms.work)
    eligible = [one for one in finalists if _is_eligible(terms, one, limit)]
    if not eligible:
        raise MeasurementError(
            f"no setup that was tried keeps within --max-kl {terms.max_kl}",
            "allow more, or give more time with --budget",
        )
    best = _best(terms, eligible, default)
    gains = [1.0] if best is default else _gains(terms, best, default)
    trials = _trials(participants, terms.work)
    return TuningOutcome(
        choice=trials[[one is best for one in participants].index(True)],
        default=trials[0],
        gain=statistics.median(gains),
        verdict=_verdict(gains, len(eligible) - 1, is_default=best is default),
        trials=tuple(trials),
        skipped=skipped,
        seconds=seconds,
    )


def _verdict(gains: Sequence[float], others: int, *, is_default: bool) -> str:
    if not is_default:
        return (
            f"{statistics.median(gains):.2f} times as good as the default choice "
            f"({min(gains):.2f} to {max(gains):.2f} in {len(gains)} rounds)"
        )
    if not others:
        return "the default choice: nothing else was compared with it to the end"
    return (
        f"the default choice: nothing else was {NOISE:.0%} better in every round, or much in most"
    )


def _is_eligible(terms: Terms, participant: SetupParticipant, limit_s: float) -> bool:
    kl = participant.kl
    if terms.max_kl is not None and (kl is None or kl > terms.max_kl):
        return False
    return terms.goal != "quality" or participant.answer_s(terms.work) <= limit_s


def _best(
    terms: Terms, eligible: Sequence[SetupParticipant], default: SetupParticipant
) -> SetupParticipant:
    """The default choice stays, unless another was better beyond doubt."""
    known = [(one, _gains(terms, one, default)) for one in eligible]
    ranked = sorted(known, key=lambda pair: statistics.median(pair[1]), reverse=True)
    if default not in eligible:
        return ranked[0][0]
    return next((one for one, gains in ranked if _is_better(gains)), default)


def _is_better(gains: Sequence[float]) -> bool:
    """A little in every round, or much in most of them: then one was disturbed."""
    return min(gains) >= 1 + NOISE or statistics.median(gains) >= 1 + MUCH


def _gains(terms: Terms, participant: SetupParticipant, default: SetupParticipant) -> list[float]:
    """How many times better than the default choice, round by round: a drift cancels out.

    1 where both are zero, or neither was measured.
    """
    mine, theirs = (
        [score(terms.goal, figures, terms.work) for figures in one.figures_by_round(terms.work)]
        for one in (participant, default)
    )
    return [
        1.0 if before == now else before / now if now else float("inf")
        for before, now in zip(theirs, mine, strict=True)
    ]


def _trials(participants: Sequence[SetupParticipant], work: Work) -> list[Trial]:
    """With the frontier of time, memory and, where it was measured, divergence."""
    trials = [Trial(one.setup, one.figures(work)) for one in participants]
    known = [one.figures for one in trials]
    merits = [(answer_seconds(one, work), float(one.nbytes), one.kl) for one in known]
    return [
        replace(trial, frontier=not any(_beats(other, mine) for other in merits))
        for trial, mine in zip(trials, merits, strict=True)
    ]


def _beats(other: tuple[float | None, ...], mine: tuple[float | None, ...]) -> bool:
    """At least as good in all that both were measured for, and better in one; less is better."""
    pairs = [(a, b) for a, b in zip(other, mine, strict=True) if a is not None and b is not None]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
