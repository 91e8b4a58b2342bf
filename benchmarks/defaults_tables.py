"""What defaults.py found, and its tables in 100 columns."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starts import Start

from aipc.cli.screen.output import write_folded, write_line, write_table
from aipc.devices.system.cpu import read_cpu
from aipc.measure.bench.result import ArtifactFacts
from aipc.measure.bench.roofline import best_possible
from aipc.records import plain
from aipc.runtimes.limits import Limits

DEFAULT, LLAMA_CPP = "default", "llama.cpp"
WHOLE, LOAD, COLD, BOTH = "WHOLE s", "LOAD s", "COLD s", "L+C s"
WARM, STEP, PEAK = "WARM s", "STEP ms", "PEAK GB"
FIGURES = (WHOLE, LOAD, COLD, BOTH, WARM, STEP, PEAK)
MEANING = (
    "WHOLE: a process from start to end; L+C: load and cold first token; LIMIT: decoding as a "
    "share of what reading weights and cache allows; x FILES: peak memory over the artifact's bytes"
)
ABSENT = "-"


@dataclass
class Found:
    """``samples``: name → figure → one value a round; ``failures``: by name and part."""

    model: str
    isa: str
    lengths: Mapping[str, tuple[int, int]]
    """Part → tokens of prompt and of answer."""
    limits: Limits
    artifacts: Mapping[str, ArtifactFacts]
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, values: Mapping[str, float]) -> None:
        for figure, value in values.items():
            self.samples.setdefault(name, {}).setdefault(figure, []).append(value)

    def median(self, name: str, figure: str) -> float | None:
        taken = self.samples.get(name, {}).get(figure)
        return statistics.median(taken) if taken else None

    @property
    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"processor": plain(read_cpu()), **plain(self)}


def values(one: Start) -> dict[str, float]:
    """The figures of a start; every one is the better the smaller."""
    found = {
        LOAD: one.load_s,
        COLD: one.cold_s,
        BOTH: one.load_s + one.cold_s,
        WARM: one.warm_s,
        STEP: one.step_s * 1e3,
    }
    return found if one.peak_bytes is None else {**found, PEAK: one.peak_bytes / 1e9}


def write(found: Found) -> None:
    cpu = read_cpu()
    write_folded(f"{found.model} on {cpu.name}, {cpu.usable_threads} threads; {found.isa}")
    for what, rate, unit in (
        ("memory", found.limits.bandwidth, "GB/s"),
        ("products", found.limits.matrix, "GFLOPS"),
    ):
        if rate is not None:
            write_folded(f"{what}: {rate.per_second / 1e9:.1f} {unit}, {rate.how}")
    lengths = ", ".join(f"{part}: {one[0]}+{one[1]}" for part, one in found.lengths.items())
    write_line(f"\nMedians; tokens of prompt and answer: {lengths}")
    _table(("WHO", *FIGURES, "LIMIT", "x FILES"), _medians(found))
    write_folded(MEANING)
    write_line("\nFrom the least to the most of all rounds")
    _table(("WHO", *FIGURES), _ranges(found))
    if DEFAULT in found.samples:
        write_line("\nThe default against the best of aipc and against llama.cpp, round by round")
        _table(
            ("FIGURE", "DEFAULT", "BEST", "RATIO", "RANGE", LLAMA_CPP, "RATIO", "RANGE", "BEST IS"),
            _ratios(found),
        )
    for name, why in found.failures.items():
        write_folded(f"{name} failed: {why}")


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    write_table(head, list(rows), right=head[1:-1])


def _medians(found: Found) -> Iterator[tuple[str, ...]]:
    for name in found.samples:
        shown = [_shown(found.median(name, figure)) for figure in FIGURES]
        peak, limit = found.median(name, PEAK), _share_of_limit(found, name)
        files = peak and peak * 1e9 / found.artifacts[name].nbytes
        yield name, *shown, ABSENT if limit is None else f"{limit:.0%}", _shown(files)


def _share_of_limit(found: Found, name: str) -> float | None:
    needs, step = found.artifacts[name].needs, found.median(name, STEP)
    if needs is None or step is None:
        return None
    prompt, output = found.lengths["starts"]
    best = best_possible(found.limits, needs, prompt=prompt, output=output, batch=1).step_s
    return best and best * 1e3 / step


def _ranges(found: Found) -> Iterator[tuple[str, ...]]:
    for name, figures in found.samples.items():
        yield name, *(_range(figures.get(figure, ())) for figure in FIGURES)


def _ratios(found: Found) -> Iterator[tuple[str, ...]]:
    for figure in FIGURES:
        ours = found.median(DEFAULT, figure)
        if ours is None:
            continue
        medians = {name: found.median(name, figure) for name in found.samples if name != LLAMA_CPP}
        known = {name: median for name, median in medians.items() if median is not None}
        best = min(known, key=lambda name: known[name])
        theirs = found.median(LLAMA_CPP, figure)
        against = [_quotients(found, figure, name) for name in (best, LLAMA_CPP)]
        yield (
            figure,
            _shown(ours),
            _shown(known[best]),
            *_ratio(against[0]),
            _shown(theirs),
            *_ratio(against[1]),
            best,
        )


def _quotients(found: Found, figure: str, name: str) -> list[float]:
    pairs = (found.samples.get(one, {}).get(figure, []) for one in (DEFAULT, name))
    return [ours / theirs for ours, theirs in zip(*pairs, strict=False)]


def _ratio(quotients: Sequence[float]) -> tuple[str, str]:
    return _shown(statistics.median(quotients) if quotients else None), _range(quotients)


def _range(taken: Sequence[float]) -> str:
    return f"{_shown(min(taken))}-{_shown(max(taken))}" if taken else ABSENT


def _shown(value: float | None) -> str:
    """Three digits."""
    if value is None:
        return ABSENT
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
