"""What a report compares: participants that were given the same work, grouped in sections."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from aipc import records
from aipc.choose.measured import Records, Tuned
from aipc.convert.recipe import Recipe, recorded_recipe
from aipc.errors import MeasurementError
from aipc.measure.bench import result
from aipc.measure.bench.figures import Figures, figures
from aipc.measure.bench.result import MachineFacts, Participant, Result, Sample, Workload
from aipc.measure.bench.workload import Case, cases
from aipc.measure.quality import evaluation
from aipc.measure.quality.evaluation import Evaluation
from aipc.measure.quality.quality import Quality
from aipc.measure.statistics import Interval

_LONGEST_FILE = 64 << 20  # bytes

_LONGEST = 32  # characters of one part of a label
_OF_SPEED = {"intra_op_num_threads", "inter_op_num_threads", "INFERENCE_NUM_THREADS"}
"""Properties that change how fast an answer comes, and not which."""


@dataclass(frozen=True)
class Benchmark:
    """``file`` is the name of the file that it was read from."""

    file: str
    result: Result


@dataclass(frozen=True)
class Findings:
    """All that was read, each in the order of the files, without characters that can't be shown."""

    benchmarks: tuple[Benchmark, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    tunings: tuple[Tuned, ...] = ()


def read_findings(files: Sequence[Path]) -> Findings:
    """Read files of `aipc bench`, `aipc eval -o` and `aipc tune`, in any order.

    Raises:
        MeasurementError: one is missing, damaged, of a newer version or of another kind, or none
            of them is a benchmark or was tuned.
        ArtifactError: what was tuned can't be read.
    """
    found: dict[str, list[Any]] = {kind: [] for kind in _READERS}
    for file in files:
        kind = _kind(file)
        found[kind].append(_READERS[kind](file))
    if not found["benchmark"] and not found["tuning"]:
        raise MeasurementError(
            "there is no speed in these files", "give at least one that `aipc bench` wrote"
        )
    return Findings(*(tuple(found[kind]) for kind in ("benchmark", "evaluation", "tuning")))


def printable(text: str) -> str:
    """The same, each character that no page can show replaced: a name may hold any."""
    return "".join(
        one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}"
        for one in text
    )


def _kind(file: Path) -> str:
    """By what only files of that kind have, in every schema."""
    table = _load(file)
    for key, kind in (("workload", "benchmark"), ("trials", "tuning"), ("tasks", "evaluation")):
        if isinstance(table, dict) and key in table:
            return kind
    raise MeasurementError(
        f"'{file}' is no result", "give files that `aipc bench`, `eval -o` or `tune` wrote"
    )


def _load(file: Path) -> Any:
    try:
        if file.stat().st_size > _LONGEST_FILE:
            raise MeasurementError(f"'{file}' is longer than {_LONGEST_FILE >> 20} MiB", "check it")
        return json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise MeasurementError(f"'{file}' can't be read ({error.strerror})", "check it") from error
    except (ValueError, RecursionError) as error:
        fix = "give a file that `aipc bench` wrote"
        raise MeasurementError(f"'{file}' is no JSON file", fix) from error


def _benchmark(file: Path) -> Benchmark:
    found = result.read(file)
    _check(found, file)
    return Benchmark(printable(file.stem), records.read(Result, _shown(records.plain(found))))


def _check(found: Result, file: Path) -> None:
    """Refuse what has the right types and still is no measurement."""
    work = found.workload
    samples = [sample for one in found.participants for sample in one.samples]
    is_whole = found.participants and work.prompts and work.outputs and work.batches
    if not is_whole or not all(map(_is_sound, samples)):
        raise MeasurementError(
            f"'{file}' holds no usable measurement", "give a file that `aipc bench` wrote"
        )


def _is_sound(sample: Sample) -> bool:
    """Tokens came, one after the other, in the same number in each sequence."""
    counts = {len(times) for times in sample.times}
    return (
        len(counts) == 1
        and 0 not in counts
        and sample.seconds > 0
        and all(times[0] > 0 and list(times) == sorted(times) for times in sample.times)
    )


def _evaluation(file: Path) -> Evaluation:
    return records.read(Evaluation, _shown(records.plain(evaluation.read(file))))


def _tuning(file: Path) -> Tuned:
    found = Records(file.parent).find(file.stem)
    if found is None:
        raise MeasurementError(f"'{file}' can't be read (its name ends in no .json)", "rename it")
    return found


_READERS: Mapping[str, Callable[[Path], Any]] = {
    "benchmark": _benchmark,
    "evaluation": _evaluation,
    "tuning": _tuning,
}


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {_shown(name): _shown(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(entry) for entry in value]
    return value


@dataclass(frozen=True)
class ReportEntry:
    """One participant; ``label`` is unlike the others' of its section, ``style`` its number there.

    ``machine`` is the letter of the machine where there are several, else empty.
    """

    label: str
    style: int
    machine: str
    participant: Participant
    result: Result
    quality: Evaluation | None

    @property
    def scores(self) -> Quality | None:
        """None where nothing was judged, or the device gave no scores."""
        return None if self.quality is None else self.quality.quality

    @property
    def kl(self) -> Interval | None:
        return None if self.scores is None else self.scores.kl

    def figures(self, case: Case) -> Figures | None:
        return figures(self.participant, case, self.result.limits)


@dataclass(frozen=True)
class Section:
    """Entries of one workload; ``machines`` by letter, in the order of the files.

    A machine has the same letter in every section, and none where there is but one.
    """

    workload: Workload
    benchmarks: tuple[Benchmark, ...]
    machines: tuple[tuple[str, MachineFacts], ...]
    entries: tuple[ReportEntry, ...]

    @property
    def cases(self) -> tuple[Case, ...]:
        return cases(self.workload)

    @property
    def typical(self) -> Case:
        """The case that stands for all where there is room for one: long, and one at a time."""
        work = self.workload
        return Case(max(work.prompts), max(work.outputs), min(work.batches))

    def of(self, benchmark: Benchmark) -> tuple[ReportEntry, ...]:
        return tuple(one for one in self.entries if one.result is benchmark.result)


def sections(findings: Findings) -> tuple[Section, ...]:
    """Benchmarks of the same lengths and text together, others apart."""
    machines = list(dict.fromkeys(one.result.machine for one in findings.benchmarks))
    several = len(machines) > 1
    letters = {machine: _letter(at) if several else "" for at, machine in enumerate(machines)}
    groups: dict[tuple[object, ...], list[Benchmark]] = {}
    for benchmark in findings.benchmarks:
        work = benchmark.result.workload
        key = work.prompts, work.outputs, work.batches, work.text_sha256
        groups.setdefault(key, []).append(benchmark)
    return tuple(_section(group, letters, findings.evaluations) for group in groups.values())


def _letter(at: int) -> str:
    """A to Z, then AA, AB …"""
    more, last = divmod(at, 26)
    return (_letter(more - 1) if more else "") + chr(ord("A") + last)


def recipe_tag(participant: Participant) -> str:
    """The weights in short, such as "int4-g128-sym"; without a recipe the artifact's name."""
    known = {field.name for field in fields(Recipe)}
    recipe = participant.artifact.recipe
    if not recipe or not set(recipe) <= known:
        return participant.artifact.name
    return recorded_recipe(recipe).tag


def _section(
    benchmarks: Sequence[Benchmark],
    letters: Mapping[MachineFacts, str],
    evaluations: Sequence[Evaluation],
) -> Section:
    machines = dict.fromkeys(one.result.machine for one in benchmarks)
    taken = [(benchmark, one) for benchmark in benchmarks for one in benchmark.result.participants]
    labels = _labels(taken, letters)
    entries = tuple(
        ReportEntry(
            label,
            style,
            letters[benchmark.result.machine],
            participant,
            benchmark.result,
            _quality_of(participant, evaluations),
        )
        for style, (label, (benchmark, participant)) in enumerate(zip(labels, taken, strict=True))
    )
    return Section(
        benchmarks[0].result.workload,
        tuple(benchmarks),
        tuple((letters[machine], machine) for machine in machines),
        entries,
    )


def _labels(
    taken: Sequence[tuple[Benchmark, Participant]], letters: Mapping[MachineFacts, str]
) -> list[str]:
    """The name, and as much more as distinguishes them: machine, model, weights, device, file.

    The machine and the model are named wherever there are several, so that none is mistaken.
    """
    facets = [list(facet) for facet in zip(*(_facets(*one, letters) for one in taken), strict=True)]
    names, always, further = facets[0], facets[1:3], facets[3:]
    parts: list[tuple[str, ...]] = [(name,) for name in names]
    for facet in always:
        if len(set(facet)) > 1:
            parts = [(*part, value) for part, value in zip(parts, facet, strict=True)]
    for facet in further:
        parts = _made_distinct(parts, facet)
    return [
        " · ".join(one if len(one) <= _LONGEST else f"{one[: _LONGEST - 1]}…" for one in part)
        for part in parts
    ]


def _made_distinct(parts: Sequence[tuple[str, ...]], facet: Sequence[str]) -> list[tuple[str, ...]]:
    """With the facet added to those that are alike without it and differ in it."""
    values: dict[tuple[str, ...], set[str]] = {}
    for part, value in zip(parts, facet, strict=True):
        values.setdefault(part, set()).add(value)
    return [
        (*part, value) if len(values[part]) > 1 else part
        for part, value in zip(parts, facet, strict=True)
    ]


def _facets(
    benchmark: Benchmark, participant: Participant, letters: Mapping[MachineFacts, str]
) -> Iterator[str]:
    yield participant.name
    yield letters[benchmark.result.machine]
    yield benchmark.result.model
    yield recipe_tag(participant)
    yield f"{participant.runtime} {participant.device}"
    yield benchmark.file


def _quality_of(participant: Participant, evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """What was found about the same files, run by the same runtime with the same numerics."""
    for one in evaluations:
        is_same_run = (one.run.get("runtime"), _numerics(one.run.get("properties"))) == (
            participant.runtime,
            _numerics(participant.properties),
        )
        if is_same_run and one.artifact.sha256 == participant.artifact.sha256:
            return one
    return None


def _numerics(properties: object) -> dict[str, str]:
    """Properties that can change an answer."""
    if not isinstance(properties, Mapping):
        return {}
    texts = {str(name): str(value) for name, value in properties.items()}
    return {name: value for name, value in texts.items() if name not in _OF_SPEED}
