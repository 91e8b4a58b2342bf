"""The six pictures of a section: what each shows, or in words why it shows nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from aipc import units
from aipc.measure.bench.figures import cold_first_token
from aipc.measure.bench.workload import Case
from aipc.measure.report import words
from aipc.measure.report.charts import (
    Bar,
    BarChart,
    BarPanel,
    ChartLine,
    ChartMark,
    LineChart,
    Panel,
    Picture,
    ReportTable,
    first_token_line,
    pooled_places,
    step_line,
)
from aipc.measure.report.findings import ReportEntry, Section
from aipc.measure.report.scatter import speed_and_quality
from aipc.units import amount

_PANELS = 3
_LINE_TOP = 1.5  # times what nearly all of a chart's values stay below


def pictures(section: Section) -> tuple[Picture, ...]:
    """Always the same ones, in the same order."""
    return (
        latency(section),
        first_tokens(section),
        speed_and_quality(section),
        memory(section),
        energy(section),
        shares(section),
    )


def latency(section: Section) -> Picture:
    """Milliseconds from token to token, over the position in the answer."""
    panels = [
        Panel(f"after a prompt of {prompt:,} tokens", tuple(_lines(section, prompt)))
        for prompt in _spread(section.workload.prompts)
    ]
    drawn = tuple(panel for panel in panels if panel.lines)
    top = _top(drawn)
    chart = LineChart(drawn, "token of the answer", "ms a token", top=top) if drawn else None
    notes = (*_cut_note(drawn, top), *_cold_notes(section))
    rows = (
        (entry.label, words.case(case), *map(units.milliseconds, steps))
        for case, entry, steps in _steps(section)
    )
    return Picture(
        name="latency",
        title="Latency a token over its place in the answer",
        about=(
            f"Medians over the repeats{_pooled(section.typical)}; the band holds the middle half."
        ),
        chart=chart,
        absent="no participant finished a run.",
        table=_table(("participant", "prompt + answer", "median", "p90", "p99"), rows, 2),
        notes=notes,
    )


def first_tokens(section: Section) -> Picture:
    """Seconds to the first token, over the length of the prompt."""
    lines = [(entry, first_token_line(entry, section)) for entry in section.entries]
    marks = tuple(_cold_marks(section))
    panel = Panel("", tuple(line for _, line in lines if line is not None), marks)
    chart = LineChart(
        (panel,),
        "tokens of the prompt",
        "seconds",
        is_log=True,
        marks="cold: the first inference after loading" if marks else "",
    )
    lengths = [f"{prompt:,} tokens" for prompt in section.workload.prompts]
    rows = (
        (entry.label, *_first_cells(section, entry), units.seconds(_cold(entry)))
        for entry, _ in lines
    )
    return Picture(
        name="first-token",
        title="Time to the first token over the length of the prompt",
        about="Medians, with the interval that holds the true median. Both axes are logarithmic.",
        chart=chart if panel.lines else None,
        absent="no participant finished a run.",
        table=_table(("participant", *lengths, "cold"), rows, 1),
    )


def memory(section: Section) -> Picture:
    """Bytes of the process at most, beside those of the weights."""
    known = [(one, one.participant.peak_memory_bytes) for one in section.entries]
    size, unit = _unit([peak for _, peak in known if peak is not None])
    bars = tuple(
        Bar(one.label, one.style, peak / size, amount(peak), _weights(one, size))
        for one, peak in known
        if peak is not None
    )
    mark = "weights read for a token" if any(bar.mark is not None for bar in bars) else ""
    rows = ((one.label, *_memory_cells(one)) for one in section.entries)
    return Picture(
        name="memory",
        title="Memory at most",
        about="Of the whole process: weights, key-value cache, the runtime and its copies.",
        chart=BarChart((BarPanel("", bars),), unit, mark=mark) if bars else None,
        absent="not measured on this machine: the system does not state what a process takes.",
        table=_table(("participant", "at most", "after loading", "weights", "files"), rows, 1),
        notes=_missing([one.label for one, peak in known if peak is None]) if bars else (),
    )


def energy(section: Section) -> Picture:
    """Joules a token of the answer; a machine without a counter has none, not zero."""
    case = section.typical
    known = [(one, _energy(one, case)) for one in section.entries]
    bars = tuple(
        Bar(one.label, one.style, joules, units.joules(joules))
        for one, joules in known
        if joules is not None
    )
    rows = (
        (one.label, units.joules(joules), one.participant.energy_source or "no counter")
        for one, joules in known
    )
    return Picture(
        name="energy",
        title="Energy a token",
        about=f"Of the whole device that is counted, prompt included ({words.case(case)} tokens).",
        chart=BarChart((BarPanel("", bars),), "joules a token") if bars else None,
        absent="not measured on this machine: it has no energy counter that may be read.",
        table=_table(("participant", "joules a token", "counted"), rows, 1) if bars else None,
        notes=_missing([one.label for one, joules in known if joules is None]) if bars else (),
    )


def shares(section: Section) -> Picture:
    """How near decode and prefill come to what memory and arithmetic allow."""
    case = section.typical
    known = [(one, *_shares(one, case)) for one in section.entries]
    decode = _share_bars([(one, share) for one, share, _ in known])
    prefill = _share_bars([(one, share) for one, _, share in known])
    titles = (
        ("decode, of the memory bandwidth's limit", decode),
        ("prefill, of the matrix rate's limit", prefill),
    )
    panels = tuple(BarPanel(title, bars) for title, bars in titles if bars)
    rows = ((one.label, units.percent(step), units.percent(prompt)) for one, step, prompt in known)
    return Picture(
        name="limit",
        title="Share of the machine's limit",
        about=(
            "100% is what the memory bandwidth and the matrix rate, both measured beside it, "
            f"allow for the artifact's bytes ({words.case(case)} tokens)."
        ),
        chart=BarChart(panels, "% of the limit", limit=100.0) if panels else None,
        absent="the limit of this device was not measured, or the artifact's needs are not known.",
        table=_table(("participant", "decode", "prefill"), rows, 1) if panels else None,
    )


def _lines(section: Section, prompt: int) -> Iterator[ChartLine]:
    case = replace(section.typical, prompt=prompt)
    for entry in section.entries:
        line = step_line(entry, case)
        if line is not None:
            yield line


def _pooled(case: Case) -> str:
    pool = pooled_places(case)
    return f", {pool} neighboring tokens together" if pool > 1 else ""


def _spread(lengths: Sequence[int]) -> list[int]:
    """The shortest, the middle and the longest."""
    ordered = sorted(lengths)
    if len(ordered) <= _PANELS:
        return ordered
    return [ordered[0], ordered[len(ordered) // 2], ordered[-1]]


def _top(panels: Sequence[Panel]) -> float | None:
    """Where the axis ends, so that a few outliers do not press all else flat."""
    highs = sorted(value for panel in panels for line in panel.lines for value in line.high)
    if not highs:
        return None
    most = highs[int(0.9 * (len(highs) - 1))] * _LINE_TOP
    return most if most < highs[-1] else None


def _cut_note(panels: Sequence[Panel], top: float | None) -> tuple[str, ...]:
    if top is None:
        return ()
    peak = max(max(line.high) for panel in panels for line in panel.lines)
    return (f"The axis ends at {top:.0f} ms; the bands reach {peak:.0f} ms.",)


def _cold_notes(section: Section) -> Iterator[str]:
    """The first inference is named apart: it is in no line."""
    notes = [
        f"{one.label} {units.seconds(cold)}"
        for one in section.entries
        if (cold := _cold(one)) is not None
    ]
    if notes:
        yield f"Not in the lines: the first token after loading, {', '.join(notes)}."


def _steps(section: Section) -> Iterator[tuple[Case, ReportEntry, tuple[float | None, ...]]]:
    for case in section.cases:
        for entry in section.entries:
            found = entry.figures(case)
            if found is not None:
                yield case, entry, (found.step_s, found.step_p90_s, found.step_p99_s)


def _first_cells(section: Section, entry: ReportEntry) -> Iterator[str]:
    for prompt in section.workload.prompts:
        found = entry.figures(replace(section.typical, prompt=prompt))
        yield units.ABSENT if found is None else units.seconds(found.first_token_s)


def _cold_marks(section: Section) -> Iterator[ChartMark]:
    for entry in section.entries:
        cold = [sample for sample in entry.participant.samples if sample.cold]
        seconds = _cold(entry)
        if cold and seconds is not None:
            yield ChartMark(entry.style, cold[0].prompt, seconds)


def _cold(entry: ReportEntry) -> float | None:
    return cold_first_token(entry.participant)


def _unit(sizes: Sequence[int]) -> tuple[float, str]:
    return (1e9, "GB") if max(sizes, default=0) >= 2e9 else (1e6, "MB")


def _weights(entry: ReportEntry, size: float) -> float | None:
    needs = entry.participant.artifact.needs
    return None if needs is None else needs.weight_bytes / size


def _memory_cells(entry: ReportEntry) -> Iterator[str]:
    one = entry.participant
    loaded = [load.peak_memory_bytes for load in one.loads if load.peak_memory_bytes is not None]
    needs = one.artifact.needs
    for nbytes in (
        one.peak_memory_bytes,
        max(loaded, default=None),
        None if needs is None else needs.weight_bytes,
        one.artifact.nbytes,
    ):
        yield units.ABSENT if nbytes is None else amount(nbytes)


def _energy(entry: ReportEntry, case: Case) -> float | None:
    found = entry.figures(case)
    return None if found is None else found.energy_per_token_j


def _shares(entry: ReportEntry, case: Case) -> tuple[float | None, float | None]:
    found = entry.figures(case)
    return (None, None) if found is None else (found.decode_share, found.prefill_share)


def _share_bars(known: Sequence[tuple[ReportEntry, float | None]]) -> tuple[Bar, ...]:
    return tuple(
        Bar(one.label, one.style, 100 * share, units.percent(share))
        for one, share in known
        if share is not None
    )


def _missing(labels: Sequence[str]) -> tuple[str, ...]:
    return (f"Not measured for {words.listed(labels)}.",) if labels else ()


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]], right: int) -> ReportTable:
    return ReportTable(head, tuple(rows), right)
