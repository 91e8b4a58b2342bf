"""How many times as fast: participants of one result, or two results of different days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aipc.errors import MeasurementError
from aipc.measure.bench.figures import cold_first_tokens, decode_rate, first_token, warm
from aipc.measure.bench.result import Participant, Result, Sample
from aipc.measure.bench.workload import Case, cases
from aipc.measure.statistics import Interval, of_median, of_ratio

SPEEDS: Mapping[str, Callable[[Sample], float | None]] = {
    "first token": lambda sample: 1 / first_token(sample),
    "decode": decode_rate,
    "whole": lambda sample: 1 / sample.seconds,
}
"""What is compared of the samples of a case; more is faster."""


@dataclass(frozen=True)
class Ratio:
    """``ours`` is ``times`` as fast as ``theirs``; ``case`` is None for what happens once a load.

    ``what`` is "first token", "decode", "whole" (prompt and answer), "load" or "cold first token".
    """

    ours: str
    theirs: str
    case: Case | None
    what: str
    times: Interval


@dataclass(frozen=True)
class Comparison:
    """``notes`` say where two results differ in more than what is compared; mostly none."""

    ratios: tuple[Ratio, ...]
    notes: tuple[str, ...]


def within(result: Result) -> tuple[Ratio, ...]:
    """The first participant against each other one, by pairs of neighboring samples."""
    ours, *others = result.participants
    return tuple(ratio for theirs in others for ratio in _paired(ours, theirs, result))


def between(first: Result, second: Result) -> Comparison:
    """Each participant of ``first`` against the one of that name of ``second``.

    Raises:
        MeasurementError: they have no participant or no case in common.
    """
    theirs = {participant.name: participant for participant in second.participants}
    both = [one for one in first.participants if one.name in theirs]
    if not both:
        names = ", ".join(one.name for one in first.participants)
        raise MeasurementError(
            f"the results have no participant in common (the first has {names}, "
            f"the second {', '.join(theirs)})",
            "run `aipc bench` with the same peers",
        )
    shared = [case for case in cases(first.workload) if case in cases(second.workload)]
    if not shared:
        raise MeasurementError(
            "the results have no case in common",
            "run `aipc bench` with the same --prompt, --tokens and --batch",
        )
    ratios = [ratio for one in both for ratio in _unpaired(one, theirs[one.name], shared)]
    return Comparison(tuple(ratios), tuple(_differences(first, second)))


def _paired(ours: Participant, theirs: Participant, result: Result) -> Iterator[Ratio]:
    for case in cases(result.workload):
        pairs = _pairs(warm(ours, case), warm(theirs, case))
        for what, speed in SPEEDS.items():
            speeds = [(speed(one), speed(other)) for one, other in pairs]
            quotients = [one / other for one, other in speeds if one and other]
            if quotients:
                yield Ratio(ours.name, theirs.name, case, what, of_median(quotients))
    for what, seconds in _once_a_load(ours, theirs):
        quotients = [other / one for one, other in zip(*seconds, strict=False)]
        yield Ratio(ours.name, theirs.name, None, what, of_median(quotients))


def _unpaired(ours: Participant, theirs: Participant, shared: Sequence[Case]) -> Iterator[Ratio]:
    for case in shared:
        for what, speed in SPEEDS.items():
            first, second = ([found for sample in warm(one, case) if (found := speed(sample))]
                             for one in (ours, theirs))  # fmt: skip
            if first and second:
                yield Ratio(ours.name, theirs.name, case, what, of_ratio(first, second))
    for what, (first_s, second_s) in _once_a_load(ours, theirs):
        yield Ratio(ours.name, theirs.name, None, what, of_ratio(second_s, first_s))


def _pairs(ours: Sequence[Sample], theirs: Sequence[Sample]) -> list[tuple[Sample, Sample]]:
    by_repeat = {sample.repeat: sample for sample in theirs}
    return [(one, by_repeat[one.repeat]) for one in ours if one.repeat in by_repeat]


def _once_a_load(
    ours: Participant, theirs: Participant
) -> Iterator[tuple[str, tuple[list[float], list[float]]]]:
    """Seconds of both, of what happens once a load."""
    loads = [load.seconds for load in ours.loads], [load.seconds for load in theirs.loads]
    cold = list(cold_first_tokens(ours)), list(cold_first_tokens(theirs))
    for what, seconds in (("load", loads), ("cold first token", cold)):
        if all(seconds):
            yield what, seconds


def _differences(first: Result, second: Result) -> Iterator[str]:
    """What the two were not alike in, one line each."""
    for what in ("processor", "threads", "memory_bytes", "system", "devices"):
        one, other = getattr(first.machine, what), getattr(second.machine, what)
        if one != other:
            shown = what.removesuffix("_bytes")
            yield f"the machines differ in {shown}: these ratios compare machines too"
    missing = set(cases(first.workload)) ^ set(cases(second.workload))
    if missing:
        yield f"{len(missing)} cases are in one of the results alone, and left out"
    if first.workload.text_sha256 != second.workload.text_sha256:
        yield "the prompts were cut from different texts"
    theirs = {one.name: one for one in second.participants}
    for participant in first.participants:
        other = theirs.get(participant.name)
        if other is not None and other.artifact.sha256 != participant.artifact.sha256:
            yield f"{participant.name} ran {participant.artifact.name} and {other.artifact.name}"
