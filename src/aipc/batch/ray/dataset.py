"""A batch's lines as a Ray dataset: read where the driver is, answered wherever a device is."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aipc.batch.input.line_index import FaultLog, LineEntry, LineIndex
from aipc.batch.input.lines import CheckedInput
from aipc.batch.ray.actor import BlockReport, LineActor, NodePlan
from aipc.batch.ray.options import ClusterOptions
from aipc.cluster.connection import one_line
from aipc.cluster.nodes import CPU, Node, needs, read_nodes
from aipc.errors import AipcError, ClusterError
from aipc.progress import Notify

_BLOCKS_BEYOND = 2
"""Of one actor beside those with the lines in flight, so that a block's end makes none wait."""
_LINES = 32
"""That are sent, answered and written together, at most."""
_AHEAD = 1
"""Blocks that an actor has been sent beside these, so that it does not wait for the next."""
_LOOK_S = 1.0
"""Between two looks at what else there is to see to."""
_FIELDS = ("number", "offset", "length", "crc", "custom_id", "model", "url")
_SAID = 300
"""Characters of what Ray says that are passed on."""
_GO_ON = "what is answered is kept: run it again to go on"


class ClusterDataset:
    """One run over the cluster that this process is connected to.

    Raises:
        ClusterError: no node has such a device.
    """

    def __init__(self, plan: NodePlan, options: ClusterOptions, notify: Notify) -> None:
        self._plan = plan
        self._options = options
        self._notify = notify
        self._nodes = _nodes_with(plan.device)
        self._actors: set[str] = set()
        count = sum(node.count(plan.device) for node in self._nodes)
        self._most = options.max_actors or max(count, options.min_actors or 0)
        self._least = min(options.min_actors or count, self._most)
        self._blocks_at_once = _BLOCKS_BEYOND + plan.in_flight // _LINES

    def reports(
        self, checked: CheckedInput, entries: Sequence[LineEntry]
    ) -> Iterator[BlockReport | None]:
        """Have the nodes answer ``entries``; a report of each block, and None now and then.

        Raises:
            ClusterError: a node can't answer, actors died too often, or no device is left.
        """
        size = self._lines(len(entries))
        dataset = self._answered(self._read(checked, _tables(entries, size)), size)
        arrived: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
        threading.Thread(target=_iterate, args=(dataset, arrived), daemon=True).start()
        while True:
            try:
                row = arrived.get(timeout=_LOOK_S)
            except queue.Empty:
                self._look_at_nodes()
                yield None
                continue
            if row is None:
                return
            if isinstance(row, Exception):
                raise _explained(row) from row
            yield self._seen(BlockReport(**row))

    def _look_at_nodes(self) -> None:
        alive = _nodes_with(self._plan.device)
        for node in self._nodes:
            if node.node_id not in {one.node_id for one in alive}:
                self._notify(f"node {node.host} is gone: its lines are asked elsewhere")
        self._nodes = alive

    def _seen(self, report: BlockReport) -> BlockReport:
        if report.error:
            raise ClusterError(f"node {report.node} can't answer: {report.error}", report.fix)
        if report.is_restarted and report.actor not in self._actors:
            self._notify(
                f"an actor has died, and another one answers on {report.node} now: "
                "what it had under way is asked again"
            )
        self._actors.add(report.actor)
        return report

    def _lines(self, count: int) -> int:
        """Of a block: few lines are spread over all actors as well."""
        return max(1, min(_LINES, count // (2 * self._most * self._blocks_at_once)))

    def _read(self, checked: CheckedInput, tables: Iterator[Any]) -> Any:
        """A dataset of lines, read on this node as they are needed."""
        import ray

        here = ray.get_runtime_context().get_node_id()
        path, model = checked.path.absolute(), checked.model
        return ray.data.from_arrow(list(tables)).map_batches(
            _read_lines,
            fn_args=(path, model),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.TaskPoolStrategy(size=1),  # a process that many of would share a core
            num_cpus=0,
            label_selector={"ray.io/node-id": here},
        )

    def _answered(self, lines: Any, size: int) -> Any:
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_no_progress_timeout_s = -1  # half an hour else: a block may take longer
        cores = min(int(node.resources.get(CPU, 1)) for node in self._nodes)
        with warnings.catch_warnings():  # Ray 2.60 has no other way to bound retries, see its pin
            warnings.filterwarnings("ignore", ".*ray_remote_args", DeprecationWarning)
            return lines.map_batches(
                LineActor,
                fn_constructor_args=(self._plan,),
                batch_size=size,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(
                    min_size=self._least,
                    max_size=self._most,
                    max_concurrent_calls_per_actor=self._blocks_at_once,
                    max_tasks_in_flight_per_actor=self._blocks_at_once + _AHEAD,
                ),
                max_task_retries=self._options.actor_retries,
                **needs(self._plan.device, cores),
            )


def _tables(entries: Sequence[LineEntry], size: int) -> Iterator[Any]:
    """Where the lines of each block stand, ``size`` of them."""
    import pyarrow as pa

    for start in range(0, len(entries), size):
        block = entries[start : start + size]
        yield pa.table({name: [getattr(one, name) for one in block] for name in _FIELDS})


def _read_lines(block: Any, path: Path, model: str | None) -> Any:
    """The lines of a block; runs on the driver's node.

    Raises:
        BatchError: the input has changed since it was checked.
    """
    import pyarrow as pa

    checked = CheckedInput(path, "", LineIndex(), FaultLog(), model)
    lines = [checked.read(LineEntry(**row)) for row in block.to_pylist()]
    names = ("number", "custom_id", "url", "model", "body")
    return pa.table({name: [getattr(line, name) for line in lines] for name in names})


def _iterate(dataset: Any, arrived: queue.SimpleQueue[dict[str, Any] | Exception | None]) -> None:
    try:
        for batch in dataset.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            for row in batch.to_pylist():
                arrived.put(row)
        arrived.put(None)
    except Exception as error:  # noqa: BLE001 - it is raised where the rows are awaited
        arrived.put(error)


def _nodes_with(device: str) -> tuple[Node, ...]:
    nodes = tuple(node for node in read_nodes() if node.count(device))
    if not nodes:
        raise ClusterError(
            f"no node of the cluster has a device '{device}' to give out",
            "start one with `ray start … $(aipc devices --ray)`, or name another --device; "
            + _GO_ON,
        )
    return nodes


def _explained(error: Exception) -> Exception:
    """A line for the user of what Ray says over many."""
    from ray.exceptions import RayActorError, RayError, UserCodeException

    if isinstance(error, UserCodeException) and isinstance(error.__cause__, AipcError):
        return error.__cause__
    said = one_line(error)
    if isinstance(error, RayActorError):
        return ClusterError(f"an actor or its node died too often ({said[:_SAID]})", _GO_ON)
    if isinstance(error, RayError):
        return ClusterError(f"Ray gave up ({said[:_SAID]})", _GO_ON)
    return error
