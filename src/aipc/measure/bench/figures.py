"""The figures that people read, from a result's raw samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from aipc.errors import MeasurementError
from aipc.measure.bench.result import Participant, Result, Sample
from aipc.measure.bench.roofline import best_possible
from aipc.measure.bench.workload import Case, cases
from aipc.measure.statistics import Interval, of_median, of_ratio, quantile
from aipc.runtimes.limits import Limits


@dataclass(frozen=True)
class Figures:
    """One participant in one case: medians over its warm samples; None is "not measured".

    A step is one token for every sequence of the batch; the tokens a second are the batch's.
    """

    first_token_s: float
    step_s: float | None
    """None where all tokens came at once."""
    step_p90_s: float | None
    step_p99_s: float | None
    prefill_per_s: float
    decode_per_s: float | None
    throughput_per_s: float
    """Tokens of the answers over the whole time, prompts included."""
    energy_per_token_j: float | None
    decode_share: float | None
    """Of the speed at which memory would allow a step: at most about 1."""
    prefill_share: float | None
    """Of the speed at which the matrix rate would allow the prompts."""


def figures(participant: Participant, case: Case, limits: Limits) -> Figures | None:
    """Of one case; None when the participant took no sample of it."""
    samples = warm(participant, case)
    if not samples:
        return None
    steps = [gap for sample in samples for gap in gaps(sample)]
    step = median(steps) if steps else None
    rates = [rate for rate in map(decode_rate, samples) if rate is not None]
    first = median(map(first_token, samples))
    step_share, prompt_share = _shares(participant, case, limits, step, first)
    drawn = [sample.energy_j for sample in samples if sample.energy_j is not None]
    tokens = sum(len(times) for sample in samples for times in sample.times)
    return Figures(
        first_token_s=first,
        step_s=step,
        step_p90_s=quantile(steps, 0.9) if steps else None,
        step_p99_s=quantile(steps, 0.99) if steps else None,
        prefill_per_s=case.prompt * case.batch / first,
        decode_per_s=median(rates) if rates else None,
        throughput_per_s=median(case.output * case.batch / sample.seconds for sample in samples),
        # a counter's steps may be as long as a sample, so of all of them together
        energy_per_token_j=sum(drawn) / tokens if len(drawn) == len(samples) else None,
        decode_share=step_share,
        prefill_share=prompt_share,
    )


def warm(participant: Participant, case: Case) -> list[Sample]:
    """The samples of a case, without the cold ones."""
    wanted = case.prompt, case.output, case.batch
    return [
        one
        for one in participant.samples
        if not one.cold and (one.prompt, len(one.times[0]), one.batch) == wanted
    ]


def load_seconds(participant: Participant) -> float | None:
    """Median over its loads; None: it was never loaded."""
    return median(load.seconds for load in participant.loads) if participant.loads else None


def cold_first_token(participant: Participant) -> float | None:
    """Seconds from a prompt to the first token, right after loading."""
    return median(cold) if (cold := list(cold_first_tokens(participant))) else None


def cold_first_tokens(participant: Participant) -> Iterator[float]:
    """As `cold_first_token`, one for each time that it was loaded."""
    return (first_token(sample) for sample in participant.samples if sample.cold)


def first_token(sample: Sample) -> float:
    """Seconds until every sequence of the batch has its first token."""
    return max(times[0] for times in sample.times)


def gaps(sample: Sample) -> list[float]:
    """Seconds from token to token, in every sequence."""
    return [seconds for times in sample.times for _, seconds in gaps_by_position(times)]


def gaps_by_position(times: Sequence[float]) -> Iterator[tuple[int, float]]:
    """(position, seconds since the token before) of each token of a sequence after the first ones.

    Tokens that arrive together share the time since the ones before them: a character of
    several tokens, or tokens that were guessed and accepted.
    """
    positions = [list(group) for _, group in groupby(range(len(times)), lambda at: times[at])]
    for before, together in pairwise(positions):
        for position in together:
            yield position, (times[together[0]] - times[before[0]]) / len(together)


def decode_rate(sample: Sample) -> float | None:
    """Tokens a second after each sequence's first, of the batch together; None: all at once."""
    begun = min(times[0] for times in sample.times)
    ended = max(times[-1] for times in sample.times)
    later = sum(time > times[0] for times in sample.times for time in times)
    return later / (ended - begun) if later else None


def _shares(
    participant: Participant, case: Case, limits: Limits, step: float | None, first: float
) -> tuple[float | None, float | None]:
    needs = participant.artifact.needs
    if needs is None:
        return None, None
    best = best_possible(limits, needs, prompt=case.prompt, output=case.output, batch=case.batch)
    return (
        None if best.step_s is None or step is None else best.step_s / step,
        None if best.prompt_s is None else best.prompt_s / first,
    )


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
        by_repeat = {one.repeat: one for one in warm(theirs, case)}
        both = [one for one in warm(ours, case) if one.repeat in by_repeat]
        for what, speed in SPEEDS.items():
            speeds = [(speed(one), speed(by_repeat[one.repeat])) for one in both]
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
