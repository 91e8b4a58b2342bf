"""The six pictures of a section: what each shows, or in words why it shows nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from aipc import units
from aipc.measure.bench.figures import cold_first_token
from aipc.measure.report import words
from aipc.measure.report.charts import (
    Bar,
    BarChart,
    BarPanel,
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
        Panel(f"after a prompt of {prompt:,} tokens", lines)
        for prompt in _spread(section.workload.prompts)
        for case in (replace(section.typical, prompt=prompt),)
        if (lines := tuple(filter(None, (step_line(one, case) for one in section.entries))))
    ]
    top, cut = _top(panels)
    chart = LineChart(tuple(panels), "token of the answer", "ms a token", top=top)
    pool = pooled_places(section.typical)
    pooled = f", {pool} neighboring tokens together" if pool > 1 else ""
    rows = tuple(
        (
            entry.label,
            words.case(case),
            *map(units.milliseconds, (found.step_s, found.step_p90_s, found.step_p99_s)),
        )
        for case in section.cases
        for entry in section.entries
        if (found := entry.figures(case))
    )
    return Picture(
        name="latency",
        title="Latency a token over its place in the answer",
        about=f"Medians over the repeats{pooled}; the band holds the middle half.",
        chart=chart if panels else None,
        absent="no participant finished a run.",
        table=ReportTable(("participant", "prompt + answer", "median", "p90", "p99"), rows, 2),
        notes=(*cut, *_cold_notes(section)),
    )


def first_tokens(section: Section) -> Picture:
    """Seconds to the first token, over the length of the prompt."""
    lines = (first_token_line(entry, section) for entry in section.entries)
    marks = tuple(_cold_marks(section))
    panel = Panel("", tuple(line for line in lines if line is not None), marks)
    chart = LineChart(
        (panel,),
        "tokens of the prompt",
        "seconds",
        is_log=True,
        marks="cold: the first inference after loading" if marks else "",
    )
    prompts = section.workload.prompts
    cases = [replace(section.typical, prompt=prompt) for prompt in prompts]
    rows = []
    for entry in section.entries:
        found = (entry.figures(case) for case in cases)
        cells = (units.seconds(one.first_token_s if one else None) for one in found)
        rows.append((entry.label, *cells, units.seconds(cold_first_token(entry.participant))))
    head = ("participant", *(f"{prompt:,} tokens" for prompt in prompts), "cold")
    return Picture(
        name="first-token",
        title="Time to the first token over the length of the prompt",
        about="Medians, with the interval that holds the true median. Both axes are logarithmic.",
        chart=chart if panel.lines else None,
        absent="no participant finished a run.",
        table=ReportTable(head, tuple(rows), 1),
    )


def memory(section: Section) -> Picture:
    """Bytes of the process at most, beside those of the weights."""
    known = [
        (one, one.participant.peak_memory_bytes, one.participant.artifact.needs)
        for one in section.entries
    ]
    largest = max((peak for _, peak, _ in known if peak is not None), default=0)
    size, unit = (1e9, "GB") if largest >= 2e9 else (1e6, "MB")
    bars = tuple(
        Bar(
            one.label,
            one.style,
            peak / size,
            amount(peak),
            needs.weight_bytes / size if needs else None,
        )
        for one, peak, needs in known
        if peak is not None
    )
    mark = "weights read for a token" if any(bar.mark is not None for bar in bars) else ""
    rows = tuple((one.label, *_memory_cells(one)) for one in section.entries)
    return Picture(
        name="memory",
        title="Memory at most",
        about="Of the whole process: weights, key-value cache, the runtime and its copies.",
        chart=BarChart((BarPanel("", bars),), unit, mark=mark) if bars else None,
        absent="not measured on this machine: the system does not state what a process takes.",
        table=ReportTable(("participant", "at most", "after loading", "weights", "files"), rows),
        notes=_missing([one.label for one, peak, _ in known if peak is None]) if bars else (),
    )


def energy(section: Section) -> Picture:
    """Joules a token of the answer; a machine without a counter has none, not zero."""
    case = section.typical
    figures = [(one, one.figures(case)) for one in section.entries]
    known = [(one, found.energy_per_token_j if found else None) for one, found in figures]
    bars = tuple(
        Bar(one.label, one.style, joules, units.joules(joules))
        for one, joules in known
        if joules is not None
    )
    rows = tuple(
        (one.label, units.joules(joules), one.participant.energy_source or "no counter")
        for one, joules in known
    )
    return Picture(
        name="energy",
        title="Energy a token",
        about=f"Of the whole device that is counted, prompt included ({words.case(case)} tokens).",
        chart=BarChart((BarPanel("", bars),), "joules a token") if bars else None,
        absent="not measured on this machine: it has no energy counter that may be read.",
        table=ReportTable(("participant", "joules a token", "counted"), rows) if bars else None,
        notes=_missing([one.label for one, joules in known if joules is None]) if bars else (),
    )


def shares(section: Section) -> Picture:
    """How near decode and prefill come to what memory and arithmetic allow."""
    case = section.typical
    figures = [(one, one.figures(case)) for one in section.entries]
    decode = [(one, found.decode_share if found else None) for one, found in figures]
    prefill = [(one, found.prefill_share if found else None) for one, found in figures]
    titles = (
        ("decode, of the memory bandwidth's limit", _share_bars(decode)),
        ("prefill, of the matrix rate's limit", _share_bars(prefill)),
    )
    panels = tuple(BarPanel(title, bars) for title, bars in titles if bars)
    rows = tuple(
        (one.label, units.percent(step), units.percent(prompt))
        for (one, step), (_, prompt) in zip(decode, prefill, strict=True)
    )
    return Picture(
        name="limit",
        title="Share of the machine's limit",
        about=(
            "100% is what the memory bandwidth and the matrix rate, both measured beside it, "
            f"allow for the artifact's bytes ({words.case(case)} tokens)."
        ),
        chart=BarChart(panels, "% of the limit", limit=100.0) if panels else None,
        absent="the limit of this device was not measured, or the artifact's needs are not known.",
        table=ReportTable(("participant", "decode", "prefill"), rows) if panels else None,
    )


def _spread(lengths: Sequence[int]) -> list[int]:
    """The shortest, the middle and the longest."""
    ordered = sorted(lengths)
    if len(ordered) <= _PANELS:
        return ordered
    return [ordered[0], ordered[len(ordered) // 2], ordered[-1]]


def _top(panels: Sequence[Panel]) -> tuple[float | None, tuple[str, ...]]:
    """Where the axis ends, so that a few outliers do not press all else flat; and a note on it."""
    highs = sorted(value for panel in panels for line in panel.lines for value in line.high)
    top = highs[int(0.9 * (len(highs) - 1))] * _LINE_TOP if highs else 0.0
    if not highs or top >= highs[-1]:
        return None, ()
    return top, (f"The axis ends at {top:.0f} ms; the bands reach {highs[-1]:.0f} ms.",)


def _cold_notes(section: Section) -> Iterator[str]:
    """The first inference is named apart: it is in no line."""
    notes = [
        f"{one.label} {units.seconds(cold)}"
        for one in section.entries
        if (cold := cold_first_token(one.participant)) is not None
    ]
    if notes:
        yield f"Not in the lines: the first token after loading, {', '.join(notes)}."


def _cold_marks(section: Section) -> Iterator[ChartMark]:
    for entry in section.entries:
        seconds = cold_first_token(entry.participant)
        if seconds is not None:
            prompt = next(one.prompt for one in entry.participant.samples if one.cold)
            yield ChartMark(entry.style, prompt, seconds)


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


def _share_bars(known: Sequence[tuple[ReportEntry, float | None]]) -> tuple[Bar, ...]:
    return tuple(
        Bar(one.label, one.style, 100 * share, units.percent(share))
        for one, share in known
        if share is not None
    )


def _missing(labels: Sequence[str]) -> tuple[str, ...]:
    return (f"Not measured for {words.listed(labels)}.",) if labels else ()
