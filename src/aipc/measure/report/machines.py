"""Machines side by side: which are worth using, and which model each of them should run.

Of each result its first participant counts, which is aipc; of a model that was measured on several
devices of a machine, or in several ways, the fastest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from aipc import units
from aipc.devices.system.memory import SHARE_FOR_MODELS
from aipc.measure.bench.figures import Figures
from aipc.measure.bench.result import MachineFacts
from aipc.measure.report.charts import Bar, BarChart, BarPanel, Picture, ReportTable
from aipc.measure.report.findings import ReportEntry, Section, recipe_tag
from aipc.measure.report.tables import short_name
from aipc.units import amount

FLUENT = 8.0
"""Tokens a second of an answer that comes faster than it is read: 250 words a minute are 6."""
_PANELS = 3
_LONGEST = 30  # characters of a processor's name


@dataclass(frozen=True)
class ModelOnMachine:
    """A model where it is fastest on one machine.

    ``figures`` are of the section's typical case; None: it finished no run of it.
    """

    machine: str
    """Its letter."""
    model: str
    entry: ReportEntry
    figures: Figures | None
    most_per_s: float
    """Tokens of answers a second, prompts included, in the case that gives most of them."""

    @property
    def per_s(self) -> float:
        """Tokens a second while answering one prompt; 0 where nothing was measured."""
        return (self.figures.decode_per_s if self.figures else None) or 0.0

    @property
    def peak_bytes(self) -> int | None:
        return self.entry.participant.peak_memory_bytes

    @property
    def size(self) -> tuple[int, int]:
        """Orders models: the larger network, of the same network the one in more bytes."""
        artifact = self.entry.participant.artifact
        return (artifact.needs.operations_per_token if artifact.needs else 0, artifact.nbytes)


def placements(section: Section) -> tuple[ModelOnMachine, ...]:
    """One for each model and machine; models in the order of the files, the fastest first."""
    found: dict[tuple[str, str], ModelOnMachine] = {}
    for one in _all_placements(section):
        key = one.model, one.machine
        if key not in found or one.most_per_s > found[key].most_per_s:
            found[key] = one
    models = list(dict.fromkeys(one.model for one in found.values()))
    return tuple(sorted(found.values(), key=lambda at: (models.index(at.model), -at.most_per_s)))


def _all_placements(section: Section) -> Iterator[ModelOnMachine]:
    first = [section.of(benchmark)[0] for benchmark in section.benchmarks]
    weights: dict[str, set[str]] = {}
    for entry in first:
        weights.setdefault(entry.result.model, set()).add(recipe_tag(entry.participant))
    for entry in first:
        model = short_name(entry.result.model)
        if len(weights[entry.result.model]) > 1:
            model = f"{model} {recipe_tag(entry.participant)}"
        known = [each for case in section.cases if (each := entry.figures(case)) is not None]
        most = max((each.throughput_per_s for each in known), default=0.0)
        yield ModelOnMachine(entry.machine, model, entry, entry.figures(section.typical), most)


def machines(section: Section) -> Picture:
    """Tokens a second of each machine, and what share of all machines' work each would do."""
    placed = placements(section)
    names = _names(section)
    models = list(dict.fromkeys(one.model for one in placed))
    panels = tuple(
        BarPanel(model if len(models) > 1 else "", _bars(placed, model, names))
        for model in models[:_PANELS]
    )
    rows = [row for model in models for row in _rows([one for one in placed if one.model == model])]
    head = ("machine", "model", "device", "first token", "tokens/s alone", "tokens/s at most")
    left_out = models[_PANELS:]
    return Picture(
        name="machines",
        title="Which machines are worth using",
        about=(
            "Tokens of answers a second, prompts included, in the case that gives most. In the "
            "table, the share of what all machines do together, and of the fastest ones down to "
            "this one."
        ),
        chart=BarChart(panels, "tokens a second"),
        table=ReportTable((*head, "joules a token", "share", "with those above"), tuple(rows), 3),
        notes=(f"Not drawn: {', '.join(left_out)}.",) if left_out else (),
    )


def models_by_machine(section: Section) -> ReportTable:
    """For each machine what every model does there, and the largest that is worth taking."""
    placed = placements(section)
    models = sorted({one.model for one in placed}, key=lambda model: _size(placed, model))
    rows = []
    for letter, facts in section.machines:
        here = {one.model: one for one in placed if one.machine == letter}
        cells = (
            _measured(here[model], facts) if model in here else _expected(placed, model, facts)
            for model in models
        )
        rows.append((_name(letter, facts), *cells, _largest(here.values(), facts)))
    return ReportTable(("machine", *models, "largest that is fluent"), tuple(rows), right=9)


def _bars(placed: Sequence[ModelOnMachine], model: str, names: dict[str, str]) -> tuple[Bar, ...]:
    letters = list(names)
    return tuple(
        Bar(
            names[one.machine],
            letters.index(one.machine),
            one.most_per_s,
            units.rate(one.most_per_s),
        )
        for one in placed
        if one.model == model
    )


def _rows(placed: Sequence[ModelOnMachine]) -> Iterator[tuple[str, ...]]:
    """Of one model, the fastest first."""
    total, done = sum(one.most_per_s for one in placed), 0.0
    for one in placed:
        done += one.most_per_s
        found, device = one.figures, one.entry.participant.device
        yield (
            one.machine,
            one.model,
            f"{device} ({one.entry.participant.runtime})",
            units.seconds(found.first_token_s if found else None),
            units.rate(found.decode_per_s if found else None),
            units.rate(one.most_per_s or None),
            units.joules(found.energy_per_token_j if found else None),
            units.percent(one.most_per_s / total if total else None),
            units.percent(done / total if total else None),
        )


def _measured(one: ModelOnMachine, facts: MachineFacts) -> str:
    if not one.per_s:
        return "could not run"
    memory = f", {amount(one.peak_bytes)}" if one.peak_bytes else ""
    told = f"{one.entry.participant.device} {units.rate(one.per_s)}/s{memory}"
    return "; ".join((told, *_troubles(one, facts)))


def _expected(placed: Sequence[ModelOnMachine], model: str, facts: MachineFacts) -> str:
    """Of a model that was not measured there: whether it fits, by what it took elsewhere."""
    peaks = [one.peak_bytes for one in placed if one.model == model and one.peak_bytes]
    if not peaks:
        return units.ABSENT
    if min(peaks) > SHARE_FOR_MODELS * facts.memory_bytes:
        return f"does not fit: took {amount(min(peaks))} elsewhere"
    return f"{units.ABSENT}; fits"


def _troubles(one: ModelOnMachine, facts: MachineFacts) -> Iterator[str]:
    if one.per_s < FLUENT:
        yield "slow"
    if (one.peak_bytes or 0) > SHARE_FOR_MODELS * facts.memory_bytes:
        yield f"tight in {amount(facts.memory_bytes)}"


def _largest(here: Iterable[ModelOnMachine], facts: MachineFacts) -> str:
    fit = [one for one in here if not any(_troubles(one, facts))]
    return max(fit, key=lambda one: one.size).model if fit else "none"


def _size(placed: Sequence[ModelOnMachine], model: str) -> tuple[int, int]:
    return max(one.size for one in placed if one.model == model)


def _names(section: Section) -> dict[str, str]:
    return {letter: _name(letter, facts) for letter, facts in section.machines}


def _name(letter: str, facts: MachineFacts) -> str:
    processor = facts.processor
    if len(processor) > _LONGEST:
        processor = f"{processor[: _LONGEST - 1]}…"
    return f"{letter} · {processor}"
