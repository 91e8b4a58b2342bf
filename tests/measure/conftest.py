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
