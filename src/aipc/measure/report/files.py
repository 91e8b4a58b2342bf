"""The files that a report is made from: benchmarks, evaluations and what was tuned."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aipc import records
from aipc.choose.measured import Records, Tuned
from aipc.errors import MeasurementError
from aipc.measure.bench import result
from aipc.measure.bench.result import Result, Sample
from aipc.measure.quality import evaluation
from aipc.measure.quality.evaluation import Evaluation

_LONGEST = 64 << 20  # bytes


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
    """By what only files of that kind have."""
    table = _load(file)
    for key, kind in (("participants", "benchmark"), ("trials", "tuning"), ("tasks", "evaluation")):
        if isinstance(table, dict) and key in table:
            return kind
    raise MeasurementError(
        f"'{file}' is no result", "give files that `aipc bench`, `eval -o` or `tune` wrote"
    )


def _load(file: Path) -> Any:
    try:
        if file.stat().st_size > _LONGEST:
            raise MeasurementError(f"'{file}' is longer than {_LONGEST >> 20} MiB", "check it")
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
