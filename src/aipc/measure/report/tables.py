"""The tables of a report, as rows of text, and the command that measures again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import PurePath

from aipc import units
from aipc.choose.setup import Setup
from aipc.convert.recipe import Recipe, recorded_recipe
from aipc.measure.bench.figures import Ratio, between, cold_first_token, load_seconds, within
from aipc.measure.bench.result import Participant, Result
from aipc.measure.report import words
from aipc.measure.report.charts import ReportTable
from aipc.measure.report.findings import Benchmark, ReportEntry, Section, recipe_tag
from aipc.models.catalogue import CATALOGUE, Model
from aipc.models.source import HubSource
from aipc.runtimes.limits import Rate
from aipc.units import amount

_SPEEDS = {"first token": "first token", "decode": "decode", "whole": "prompt and answer"}
_ONCE = {"load": "loading", "cold first token": "first token after loading"}


def summary(section: Section) -> ReportTable:
    """One line a participant, in the section's typical case; medians."""
    head = ("participant", "weights", "first token", "a token", "tokens/s", "of the limit")
    rows = tuple(_summary_row(entry, section) for entry in section.entries)
    return ReportTable((*head, "memory", "KL, nats"), rows, right=2)


def speeds(section: Section) -> ReportTable:
    """Every participant in every case; tokens a second are of the whole batch."""
    head = ("participant", "prompt + answer", "first token", "a token", "prefill, tokens/s")
    rows = []
    for case in section.cases:
        for entry in section.entries:
            found = entry.figures(case)
            if found is None:
                continue
            row = (
                units.seconds(found.first_token_s),
                units.milliseconds(found.step_s),
                units.rate(found.prefill_per_s),
                units.rate(found.decode_per_s),
            )
            rows.append((entry.label, words.case(case), *row))
    return ReportTable((*head, "decode, tokens/s"), tuple(rows), right=2)


def loading(section: Section) -> ReportTable:
    """What happens once a load."""
    head = ("participant", "runtime and device", "loading", "first token after loading")
    rows = tuple(
        (
            entry.label,
            f"{entry.participant.runtime} {entry.participant.device}",
            units.seconds(load_seconds(entry.participant)),
            units.seconds(cold_first_token(entry.participant)),
        )
        for entry in section.entries
    )
    return ReportTable(head, rows, right=2)


def ratios(section: Section) -> ReportTable:
    """How many times as fast one is as the other, in each case, with the interval."""
    return _compared(section, ("compared", "prompt + answer"), _SPEEDS)


def ratios_once(section: Section) -> ReportTable:
    """As `ratios`, of what happens once a load."""
    return _compared(section, ("compared",), _ONCE)


def confidence(section: Section) -> float:
    """What every interval of the ratios holds the true value with at least; 0 for no ratio."""
    found = [one.times.confidence for _, one in _ratios(section) if one.times.confidence]
    return min(found, default=0.0)


def _compared(section: Section, head: tuple[str, ...], speeds: Mapping[str, str]) -> ReportTable:
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for (ours, theirs), ratio in _ratios(section):
        if ratio.what in speeds:
            case = () if ratio.case is None else (words.case(ratio.case),)
            key = f"{ours} against {theirs}", *case
            rows.setdefault(key, {})[ratio.what] = words.ratio(ratio.times)
    text = (
        (*key, *(found.get(what, units.ABSENT) for what in speeds)) for key, found in rows.items()
    )
    return ReportTable((*head, *speeds.values()), tuple(text), right=len(head))


def machine_lines(section: Section) -> Iterator[str]:
    """One a machine, with its letter where there are several."""
    for letter, machine in section.machines:
        cores = "" if machine.cores is None else f"{machine.cores} cores, "
        devices = (
            f"{one.name} {one.full_name}" + (f" (driver {one.driver})" if one.driver else "")
            for one in machine.devices
        )
        facts = (
            machine.processor,
            f"{cores}{machine.threads} threads",
            f"{amount(machine.memory_bytes)} of memory",
            machine.system,
            f"devices: {', '.join(devices)}",
            *((f"id {machine.id}",) if machine.id else ()),
        )
        yield (f"{letter}: " if letter else "") + "; ".join(facts)


def limit_lines(result: Result) -> Iterator[str]:
    """What shares are shares of."""
    limits: tuple[tuple[str, Rate | None, str], ...] = (
        ("memory", result.limits.bandwidth, "GB/s"),
        ("products of matrices", result.limits.matrix, "GFLOPS"),
    )
    for what, rate, unit in limits:
        if rate is None:
            yield f"Speed of {what}: {units.ABSENT} on this device."
        else:
            yield f"Speed of {what}: {rate.per_second / 1e9:,.1f} {unit} ({rate.how})."


def _ratios(section: Section) -> Iterator[tuple[tuple[str, str], Ratio]]:
    """Neighbors in one run, then the first run against others of the same machine.

    Each with the label of the one that is so many times as fast, and the other's.
    """
    first = section.benchmarks[0]
    names = {one.name for one in first.result.participants}
    for one in section.benchmarks:
        for ratio in within(one.result):
            yield _labels(section, one, one, ratio), ratio
    for other in section.benchmarks[1:]:
        shared = names & {one.name for one in other.result.participants}
        if shared and first.result.machine == other.result.machine:
            for ratio in between(first.result, other.result).ratios:
                yield _labels(section, first, other, ratio), ratio


def _labels(section: Section, first: Benchmark, second: Benchmark, ratio: Ratio) -> tuple[str, str]:
    ours = {one.participant.name: one.label for one in section.of(first)}
    theirs = {one.participant.name: one.label for one in section.of(second)}
    return ours[ratio.ours], theirs[ratio.theirs]


def _summary_row(entry: ReportEntry, section: Section) -> tuple[str, ...]:
    found = entry.figures(section.typical)
    speeds = (
        (units.ABSENT,) * 4
        if found is None
        else (
            units.seconds(found.first_token_s),
            units.milliseconds(found.step_s),
            units.rate(found.decode_per_s),
            units.percent(found.decode_share),
        )
    )
    text = units.ABSENT if entry.kl is None else f"{entry.kl.middle:.4f}"
    peak = entry.participant.peak_memory_bytes
    memory = units.ABSENT if peak is None else amount(peak)
    return entry.label, recipe_tag(entry.participant), *speeds, memory, text


def command(result: Result) -> str:
    """A line for a shell; a text that prompts were cut from is called FILE."""
    first, *peers = result.participants
    setup = Setup(first.runtime, first.device, _recipe(first, result.model), first.properties)
    parts = ["aipc", "bench", short_name(result.model), *_lengths(result), *setup.flags.split()]
    for peer in peers:
        parts += ["--peer", peer.name]
    return shlex.join(parts)


def short_name(label: str) -> str:
    """The model's name; results of earlier versions say where it is from instead."""
    return next((name for name, model in CATALOGUE.items() if label == _earlier(model)), label)


def _earlier(model: Model) -> str:
    source = model.source
    if isinstance(source, HubSource):
        return f"{source.repo}@{source.revision[:12]}"
    return f"{source.distribution} {source.version} from the package index"


def _lengths(result: Result) -> Iterator[str]:
    work = result.workload
    for flag, values in (
        ("--prompt", work.prompts),
        ("--tokens", work.outputs),
        ("--batch", work.batches),
    ):
        yield from (flag, ",".join(map(str, values)))
    if work.text_sha256 is not None:
        yield from ("--text", "FILE")
    yield from ("--repeats", str(work.repeats))
    yield from ("--loads", str(max(len(one.loads) for one in result.participants)))
    yield from ("--seed", str(work.seed))


def _recipe(first: Participant, model: str) -> Recipe | None:
    """None for an artifact of the user's own: it has its weights already."""
    recipe = first.artifact.recipe
    is_artifact = PurePath(model).name == first.artifact.name
    if is_artifact or not recipe or set(recipe) - {field.name for field in fields(Recipe)}:
        return None
    return recorded_recipe(recipe)
