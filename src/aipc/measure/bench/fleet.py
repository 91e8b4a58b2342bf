"""One benchmark on every machine of a Ray cluster, each result a file of its own in one folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from aipc import records
from aipc.cluster.connection import connected
from aipc.cluster.each_node import on_each_node
from aipc.cluster.nodes import Node, read_nodes
from aipc.errors import AipcError, ClusterError, MeasurementError
from aipc.measure.bench import result
from aipc.measure.bench.bench import measure
from aipc.measure.bench.plan import BenchPlan
from aipc.measure.bench.result import Result
from aipc.models.store import Store
from aipc.progress import Notify

LOCAL = "local"
"""Instead of an address: a Ray started on this machine alone."""
_LONGEST = 40  # characters of a processor's name in a file's


@dataclass(frozen=True)
class FleetResults:
    """``failures`` names each node that gave no result, with the error."""

    files: tuple[Path, ...]
    failures: tuple[tuple[str, AipcError], ...]


def measure_fleet(
    plan: BenchPlan,
    address: str,
    folder: Path,
    notify: Notify,
    work: Callable[[BenchPlan], str] | None = None,
) -> FleetResults:
    """Measure on every node that gives out cores; an error on one leaves the others alone.

    Each node needs the model, or a way to fetch it, and prepares it in its own store.

    Args:
        plan: what to measure; paths in it are those of the nodes, the text goes along.
        address: as for `aipc.cluster.connection.connected`, or `LOCAL`.
        folder: where the files go; none is overwritten.
        notify: gets a line for each node.
        work: what is done on a node instead of `measure_here`; for tests.

    Raises:
        ClusterError: Ray can't be reached or started, or no node gives out cores.
        UsageError: the address is none.
        MeasurementError: the disk refuses a file.
    """
    files: list[Path] = []
    failures: list[tuple[str, AipcError]] = []
    with connected(None if address == LOCAL else address):
        nodes = [node for node in read_nodes() if node.has("cpu")]
        if not nodes:
            raise ClusterError("no node of the Ray cluster gives out cores", "start one with some")
        notify(f"measuring on {len(nodes)} nodes: {', '.join(node.host for node in nodes)}")
        for node, outcome in on_each_node(nodes, partial(work or measure_here, plan)):
            found = _read(outcome)
            if isinstance(found, AipcError):
                failures.append((_label(node), found))
                notify(f"{_label(node)}: {found}")
                continue
            files.append(new_file(found, folder))
            result.write(found, files[-1])
            notify(f"{_label(node)}: {files[-1]}")
    return FleetResults(tuple(files), tuple(failures))


def measure_here(plan: BenchPlan) -> str:
    """On a node: the result as JSON, which the other side checks as it does a file."""
    return impersonal(json.dumps(records.plain(measure(plan))))


def impersonal(text: str) -> str:
    """JSON without the user's folder, whose name is a person's: paths are of the node's own."""
    home = json.dumps(str(Path.home()))[1:-1]
    return text.replace(home, "~") if len(home) > 1 else text


def new_folder(store: Store) -> Path:
    """Where the files go that were given no folder."""
    when = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    return store.home / "results" / f"{when}-fleet"


def new_file(found: Result, folder: Path) -> Path:
    """Named by the model, the processor and the machine's id: nothing tells whose it is."""
    machine = found.machine
    processor = re.sub(r"[^a-z0-9]+", "-", machine.processor.lower()).strip("-")[:_LONGEST]
    parts = (found.participants[0].artifact.name, processor, machine.id)
    stem = "-".join(filter(None, parts))
    names = (stem, *(f"{stem}-{number}" for number in range(2, 10_000)))
    files = (folder / f"{name}.json" for name in names)
    return next(file for file in files if not file.exists())


def _read(outcome: Any) -> Result | AipcError:
    if isinstance(outcome, AipcError):
        return outcome
    try:
        return result.parse(json.loads(outcome))
    except ValueError as error:
        return MeasurementError(f"its result can't be used: {error}", "install the same aipc there")


def _label(node: Node) -> str:
    return f"{node.host} ({node.node_id[:6]})"
