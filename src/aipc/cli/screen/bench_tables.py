"""Tables of a result of `aipc bench`, in at most 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from aipc.cli.screen.output import columns, write_line, write_table
from aipc.measure.bench.figures import (
    Figures,
    Ratio,
    cold_first_token,
    figures,
    load_seconds,
    within,
)
from aipc.measure.bench.result import Participant, Result
from aipc.measure.bench.workload import Case, cases
from aipc.measure.statistics import Interval
from aipc.runtimes.limits import Limits
from aipc.units import amount

ABSENT = "-"
"""Not measured, or not reported by this system: never a zero."""
_SPEEDS = ("WHO", "CASE", "1ST s", "STEP ms", "P90", "P99", "PREFILL", "DECODE", "ALL", "LIMIT")
_ONCE = ("WHO", "LOAD s", "COLD 1ST s", "PEAK MEMORY", "WEIGHTS", "J/TOKEN")
_FLEET = ("MACHINE", "ID", "ON", "DECODE", "ALL", "PEAK MEMORY", "OF")
_RATIOS = ("CASE", "AT", "RATIO", "FROM", "TO", "CONFIDENCE")
_MEANING = (
    "CASE: tokens of prompt + answer, x batch. Medians; 1ST: from the prompt to the first token; "
    "STEP: from token to token; PREFILL, DECODE and ALL (prompt and answer): tokens a second of "
    "the whole batch; LIMIT: prefill and decode as shares of the best possible, from what this "
    "machine reached:"
)


def write_result(result: Result) -> None:
    """Figures, ratios to the peers, the machine's limits, and what disturbed them."""
    write_line(f"{result.model} on {result.participants[0].device}: {result.machine.processor}")
    write_line()
    _write_speeds(result)
    write_line()
    write_table(_ONCE, [_once(one, result) for one in result.participants], right=_ONCE[1:])
    write_line()
    for paragraph in _paragraphs(result):
        _write_folded(paragraph)
    ratios = within(result)
    if ratios:
        write_line()
        write_line(f"How many times as fast {result.participants[0].name} is:")
        write_ratios(ratios)
    for warning in result.noise.warnings:
        _write_folded(f"noisy: {warning}")


def write_fleet(results: Sequence[Result]) -> None:
    """One row a machine, the fastest first: its best case, and what it took."""
    rows = [_machine(one) for one in results]
    ordered = sorted(rows, key=lambda row: row[0], reverse=True)
    write_table(_FLEET, [row for _, row in ordered], right=_FLEET[3:])


def _machine(result: Result) -> tuple[float, tuple[str, ...]]:
    """Tokens a second at most, and the row."""
    first, machine = result.participants[0], result.machine
    found = [figures(first, case, result.limits) for case in cases(result.workload)]
    known = [one for one in found if one is not None]
    most = max((one.throughput_per_s for one in known), default=0.0)
    alone = max((one.decode_per_s or 0.0 for one in known), default=0.0)
    peak = first.peak_memory_bytes
    return most, (
        textwrap.shorten(machine.processor, 36, placeholder="…"),
        machine.id or ABSENT,
        first.device,
        f"{alone:.1f}" if alone else ABSENT,
        f"{most:.1f}" if most else ABSENT,
        ABSENT if peak is None else amount(peak),
        amount(machine.memory_bytes),
    )


def write_ratios(ratios: Sequence[Ratio]) -> None:
    """One row each, with the bounds of its interval."""
    rows = [
        (ratio.theirs, _case(ratio.case), ratio.what, *_interval(ratio.times)) for ratio in ratios
    ]
    write_table(("THAN", *_RATIOS), rows, right=_RATIOS[2:])


def _write_speeds(result: Result) -> None:
    rows = [
        (participant.name, *_speeds(case, found))
        for case in cases(result.workload)
        for participant in result.participants
        if (found := figures(participant, case, result.limits)) is not None
    ]
    write_table(_SPEEDS, rows, right=_SPEEDS[2:-1])


def _speeds(case: Case, found: Figures) -> tuple[str, ...]:
    steps = (found.step_s, found.step_p90_s, found.step_p99_s)
    return (
        _case(case),
        _seconds(found.first_token_s),
        *(ABSENT if step is None else f"{1e3 * step:.1f}" for step in steps),
        f"{found.prefill_per_s:.1f}",
        ABSENT if found.decode_per_s is None else f"{found.decode_per_s:.1f}",
        f"{found.throughput_per_s:.1f}",
        f"{_share(found.prefill_share)} {_share(found.decode_share)}",
    )


def _once(one: Participant, result: Result) -> tuple[str, ...]:
    peak, needs = one.peak_memory_bytes, one.artifact.needs
    return (
        one.name,
        _seconds(load_seconds(one)),
        _seconds(cold_first_token(one)),
        ABSENT if peak is None else amount(peak),
        ABSENT if needs is None else amount(needs.weight_bytes),
        _joules(one, result),
    )


def _joules(one: Participant, result: Result) -> str:
    """Of all cases, from the least to the most."""
    found = [figures(one, case, result.limits) for case in cases(result.workload)]
    joules = [each.energy_per_token_j for each in found if each is not None]
    values = sorted({f"{each:.2f}" for each in joules if each is not None}, key=float)
    return " to ".join(dict.fromkeys((values[0], values[-1]))) if values else ABSENT


def _paragraphs(result: Result) -> Iterator[str]:
    yield _MEANING
    yield from _limits(result.limits)
    counted = result.participants[0].energy_source
    source = f"of the whole {counted}" if counted else "not measured, no counter that may be read"
    yield f"energy: {source}"
    for one in result.participants:
        yield f"{one.name}: {_what(one)}"
        if one.failure is not None:
            yield f"{one.name} could not run every case: {one.failure}"


def _limits(limits: Limits) -> Iterator[str]:
    for what, rate, unit in (
        ("memory", limits.bandwidth, "GB/s"),
        ("products", limits.matrix, "GFLOPS"),
    ):
        if rate is None:
            yield f"{what}: not measured on this device"
        else:
            yield f"{what}: {rate.per_second / 1e9:.1f} {unit}, {rate.how}"


def _what(one: Participant) -> str:
    versions = [f"{name} {version.partition('-')[0]}" for name, version in one.versions.items()]
    properties = [f"{name}={value}" for name, value in one.properties.items()]
    return "; ".join(filter(None, (one.artifact.name, ", ".join(versions), ", ".join(properties))))


def _case(case: Case | None) -> str:
    return ABSENT if case is None else f"{case.prompt}+{case.output} x{case.batch}"


def _interval(times: Interval) -> tuple[str, str, str, str]:
    """Without bounds where there is but one value."""
    if times.confidence == 0:
        return f"{times.middle:.3f}", ABSENT, ABSENT, ABSENT
    middle, low, high = (f"{value:.3f}" for value in (times.middle, times.low, times.high))
    return middle, low, high, f"{times.confidence:.0%}"


def _seconds(value: float | None) -> str:
    if value is None:
        return ABSENT
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _share(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.0%}"


def _write_folded(text: str) -> None:
    for line in textwrap.wrap(text, columns(), subsequent_indent="  ", break_on_hyphens=False):
        write_line(line)
