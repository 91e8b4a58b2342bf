"""Results to compare and report: one from a real run, and small ones with chosen times."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aipc.measure.bench import result

EXAMPLE = Path(__file__).with_name("results") / "smollm2-cpu.json"


@pytest.fixture
def example() -> result.Result:
    """A real run's result: the small model on a CPU, beside bare runtimes."""
    return result.read(EXAMPLE)


@pytest.fixture(scope="session")
def report_files() -> tuple[Path, ...]:
    """Real runs of one workload in int4 beside two peers and in int8, and what was lost by each."""
    names = "int4", "int8", "int4-quality", "int8-quality", "onnx-quality"
    return tuple(EXAMPLE.with_name(f"smollm2-{name}.json") for name in names)


@pytest.fixture
def changed_result(report_files: Sequence[Path], tmp_path: Path) -> Callable[..., Path]:
    """The first of these files with its table changed by a function."""

    def make(change: Callable[[dict[str, Any]], object], name: str = "changed") -> Path:
        table = json.loads(report_files[0].read_text("utf-8"))
        change(table)
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(table), "utf-8")
        return file

    return make


MACHINES = {
    "fast": ("Intel(R) Core(TM) Ultra 7 155H", 33_500_000_000, 0.5),
    "twin": ("Intel(R) Core(TM) Ultra 7 155H", 33_500_000_000, 0.6),
    "old": ("Intel(R) Core(TM) i3-8100 CPU @ 3.60GHz", 8_200_000_000, 30.0),
}
"""Id → processor, bytes of memory, and how many times as long all takes as on the real machine."""


@pytest.fixture(scope="session")
def fleet_files(
    report_files: Sequence[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ...]:
    """A real run as if three machines had done it, and on all but the old one a larger model's."""
    folder = tmp_path_factory.mktemp("fleet")
    written = []
    for name, (processor, memory, slower) in MACHINES.items():
        machine = {"processor": processor, "memory_bytes": memory, "id": name}
        small = _as_if(report_files[0], machine, slower)
        large = _as_if(report_files[0], machine, 10 * slower)
        large["model"] = "org/large"
        for one in large["participants"]:
            one["peak_memory_bytes"] = 9_000_000_000
            one["artifact"]["needs"]["operations_per_token"] *= 50
        tables = {"small": small, "large": large} if name != "old" else {"small": small}
        for size, table in tables.items():
            file = folder / f"{name}-{size}.json"
            file.write_text(json.dumps(table), "utf-8")
            written.append(file)
    return tuple(written)


def _as_if(file: Path, machine: dict[str, Any], slower: float) -> dict[str, Any]:
    table = json.loads(file.read_text("utf-8"))
    table["machine"] |= machine
    for one in table["participants"]:
        for sample in one["samples"]:
            sample["seconds"] *= slower
            sample["times"] = [[slower * time for time in each] for each in sample["times"]]
    return table


@pytest.fixture
def example_file() -> Path:
    return EXAMPLE


@pytest.fixture
def sample() -> Callable[..., result.Sample]:
    """A sample of a batch of one: its first token at ``first``, the others ``step`` apart."""

    def make(first: float, step: float, *, tokens: int = 5, **fields: Any) -> result.Sample:
        times = tuple(first + step * at for at in range(tokens))
        made = result.Sample(prompt=32, batch=1, times=(times,), seconds=times[-1])
        return replace(made, **fields)

    return make


@pytest.fixture
def outcome(example: result.Result) -> Callable[..., result.Result]:
    """The example with these participants' samples alone, by name, of one case: 32 + 5 tokens."""

    def make(**samples: Sequence[result.Sample]) -> result.Result:
        first = example.participants[0]
        load = (result.Load(1.0),)
        participants = tuple(
            replace(first, name=name, samples=tuple(taken), loads=load)
            for name, taken in samples.items()
        )
        workload = replace(example.workload, prompts=(32,), outputs=(5,), batches=(1,))
        return replace(example, participants=participants, workload=workload)

    return make
