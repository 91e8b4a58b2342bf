"""Who stands side by side in a report: participants that were given the same work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from aipc.convert.recipe import Recipe
from aipc.measure.bench.figures import Figures, figures
from aipc.measure.bench.result import MachineFacts, Participant, Result, Workload
from aipc.measure.bench.workload import Case, cases
from aipc.measure.quality.evaluation import Evaluation
from aipc.measure.report.files import Benchmark, Findings

_LONGEST = 32  # characters of one part of a label
_OF_SPEED = {"intra_op_num_threads", "inter_op_num_threads", "INFERENCE_NUM_THREADS"}
"""Properties that change how fast an answer comes, and not which."""


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

    def figures(self, case: Case) -> Figures | None:
        return figures(self.participant, case, self.result.limits)


@dataclass(frozen=True)
class Section:
    """Entries of one workload; ``machines`` by letter, in the order of the files."""

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
    groups: dict[tuple[object, ...], list[Benchmark]] = {}
    for benchmark in findings.benchmarks:
        work = benchmark.result.workload
        key = work.prompts, work.outputs, work.batches, work.text_sha256
        groups.setdefault(key, []).append(benchmark)
    return tuple(_section(group, findings.evaluations) for group in groups.values())


def recipe_tag(participant: Participant) -> str:
    """The weights in short, as in "int4-g128-sym"; the artifact's name where it tells no recipe."""
    known = {field.name for field in fields(Recipe)}
    recipe = participant.artifact.recipe
    if not recipe or not set(recipe) <= known:
        return participant.artifact.name
    return Recipe(**recipe).tag


def _section(benchmarks: Sequence[Benchmark], evaluations: Sequence[Evaluation]) -> Section:
    machines = list(dict.fromkeys(one.result.machine for one in benchmarks))
    letters = {machine: chr(ord("A") + at) for at, machine in enumerate(machines)}
    taken = [(benchmark, one) for benchmark in benchmarks for one in benchmark.result.participants]
    labels = _labels(taken, letters if len(machines) > 1 else {})
    entries = tuple(
        ReportEntry(
            label,
            style,
            letters[benchmark.result.machine] if len(machines) > 1 else "",
            participant,
            benchmark.result,
            _quality_of(participant, evaluations),
        )
        for style, (label, (benchmark, participant)) in enumerate(zip(labels, taken, strict=True))
    )
    return Section(
        benchmarks[0].result.workload,
        tuple(benchmarks),
        tuple((letter, machine) for machine, letter in letters.items()),
        entries,
    )


def _labels(
    taken: Sequence[tuple[Benchmark, Participant]], letters: dict[MachineFacts, str]
) -> list[str]:
    """The name, and as much more as tells apart: machine, model, weights, device, file.

    The machine and the model are named wherever there are several, so that none is mistaken.
    """
    facets = [list(facet) for facet in zip(*(_facets(*one, letters) for one in taken), strict=True)]
    names, always, further = facets[0], facets[1:3], facets[3:]
    parts: list[tuple[str, ...]] = [(name,) for name in names]
    for facet in always:
        if len(set(facet)) > 1:
            parts = [(*part, value) for part, value in zip(parts, facet, strict=True)]
    for facet in further:
        parts = _told_apart(parts, facet)
    return [" · ".join(map(_short, part)) for part in parts]


def _told_apart(parts: Sequence[tuple[str, ...]], facet: Sequence[str]) -> list[tuple[str, ...]]:
    """With the facet added to those that are alike without it and differ in it."""
    values: dict[tuple[str, ...], set[str]] = {}
    for part, value in zip(parts, facet, strict=True):
        values.setdefault(part, set()).add(value)
    return [
        (*part, value) if len(values[part]) > 1 else part
        for part, value in zip(parts, facet, strict=True)
    ]


def _facets(
    benchmark: Benchmark, participant: Participant, letters: dict[MachineFacts, str]
) -> Iterator[str]:
    yield participant.name
    yield letters.get(benchmark.result.machine, "")
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
    told = {str(name): str(value) for name, value in properties.items()}
    return {name: value for name, value in told.items() if name not in _OF_SPEED}


def _short(part: str) -> str:
    return part if len(part) <= _LONGEST else f"{part[: _LONGEST - 1]}…"
