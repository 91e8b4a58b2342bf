"""Faults: damaged files, hostile bodies, killed processes; the short form is run with all tests.

    pytest tests/faults                                          the short form: some cases a row
    pytest tests/faults -m faults --minutes 30 --seed 7 --results faults.json     the long form

A *row* is one kind of fault.  A test counts its cases in the `row` fixture; what it counted is
written to the file of ``--results``, rows in the order in which they ended.
"""

from __future__ import annotations

import json
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import tiny
from fake_hub import hubs
from limited import run_limited

import aipc
from aipc.devices.system.cpu import read_cpu
from aipc.devices.system.memory import read_memory

DEFAULT_MINUTES, DEFAULT_SEED = 2.0, 1
DISK_BYTES = 512 * 2**20
ROWS = pytest.StashKey[dict]()
END = pytest.StashKey[float]()
"""When the time of the long rows is over."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--minutes", type=float, help="of the long rows together")
    group.addoption("--seed", type=int, help="of the long rows' cases")
    group.addoption("--results", type=Path, help="a JSON file for what each row counted")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash.setdefault(ROWS, {})


def write_results(config: pytest.Config) -> None:
    """What the rows so far have counted: one that is ended early has not counted for nothing."""
    file = config.getoption("results", None)
    if file is not None:
        head = {
            "seed": seed_of(config),
            "minutes": minutes_of(config),
            "created": datetime.now(timezone.utc).date().isoformat(),
            "machine": machine(),
        }
        results = head | {"rows": config.stash.get(ROWS, {})}
        file.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def machine() -> dict[str, Any]:
    """What the figures are of; nothing in it names a person."""
    cpu = read_cpu()
    return {
        "processor": cpu.name,
        "threads": cpu.usable_threads,
        "memory_bytes": read_memory().total,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "aipc": aipc.__version__,
    }


def minutes_of(config: pytest.Config) -> float:
    stated = config.getoption("minutes", None)
    return DEFAULT_MINUTES if stated is None else stated


def seed_of(config: pytest.Config) -> int:
    stated = config.getoption("seed", None)
    return DEFAULT_SEED if stated is None else stated


class Row:
    """What one test counts, and how long it may go on.

    ``counts`` has a number for each outcome, under the outcome's own name.
    """

    def __init__(self, seed: int, seconds: float) -> None:
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.findings: list[str] = []
        """What went wrong, one line each: a row without any is good."""
        self._until = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether its share of ``--minutes`` is spent; a short row ends by its number of cases."""
        return time.monotonic() > self._until

    def cases(self, most: int) -> Iterator[random.Random]:
        """What draws each of at most so many cases; at least one, whatever time is left."""
        for number in range(most):
            if number and self.is_over:
                return
            yield random.Random(f"{self.seed} {number}")

    def count(self, outcome: str, number: int = 1) -> None:
        self.counts[outcome] += number

    def find(self, what: str) -> None:
        """Note a fault that was not answered as it should be; the test fails at its end."""
        self.count("findings")
        self.findings.append(what)


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Row]:
    """The counts of this test, kept under its name; fails where it has findings."""
    config = request.config
    started = time.monotonic()
    row = Row(seed_of(config), _share_s(request, started))
    yield row
    spent = {"seconds": round(time.monotonic() - started, 1)}
    told = dict(row.counts) | spent | ({"what": row.findings} if row.findings else {})
    config.stash[ROWS][request.node.name] = told
    write_results(config)
    assert not row.findings, "\n".join(row.findings[:20])


def _share_s(request: pytest.FixtureRequest, now: float) -> float:
    """What is left of the time, divided among the long rows that are left: a quick one gives."""
    rows = [item for item in request.session.items if "faults" in item.keywords]
    if request.node not in rows:
        return 60 * DEFAULT_MINUTES
    until = request.config.stash.setdefault(END, now + 60 * minutes_of(request.config))
    return (until - now) / (len(rows) - rows.index(request.node))


@pytest.fixture
def limited() -> Callable[..., Any]:
    """Runs a command within limits of time and memory; see `limited.run_limited`."""
    if sys.platform == "win32":
        pytest.skip("needs a shell's limits")
    return run_limited


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of Phi-3's architecture, four blocks of it and a vocabulary of bytes."""
    shape = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4}
    config = tiny.PHI3 | shape | {"max_position_embeddings": 2048}
    folder = tmp_path_factory.mktemp("model") / "small"
    return tiny.write_checkpoint(folder, config, tiny.random_tensors(config))


@pytest.fixture(scope="session")
def make_program(
    tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path
) -> Iterator[Callable[..., Any]]:
    """Makes a `Program` of a name, on a disk of its own, and the places of `works.WORKS`."""
    from program import Program
    from small_disk import small_disk
    from works import serve_from, write_places

    base = tmp_path_factory.mktemp("works")
    places = write_places(base, small_checkpoint)
    with hubs() as start, ExitStack() as disks:
        hub = start()
        serve_from(hub, small_checkpoint)

        def make(name: str) -> tuple[Program, dict[str, Path]]:
            disk = disks.enter_context(small_disk(base / name, DISK_BYTES))
            environment = {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1", "PIP_NO_INDEX": "1"}
            program = Program(base / name / "work", base / f"{name}-kept", disk, **environment)
            return program, {**places, "out": program.out}

        yield make


@pytest.fixture(scope="session")
def make_trial(make_program: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the `works.Trial` of one of `works.WORKS`, made once for all tests, as it began."""
    from works import WORKS, Trial

    made: dict[str, Trial] = {}

    def make(name: str) -> Trial:
        if name not in made:
            made[name] = Trial(WORKS[name], *make_program(name))
        made[name].program.restore()
        return made[name]

    return make
