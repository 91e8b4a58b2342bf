"""A batch's lines answered by a Ray cluster, and what each node wrote brought into OUT.partial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from aipc.batch.input.lines import CheckedInput
from aipc.batch.partial import PartialFile
from aipc.batch.ray.actor import NodePlan
from aipc.batch.ray.artifacts import SeenArtifacts
from aipc.batch.ray.dataset import ClusterDataset
from aipc.batch.ray.options import HERE, ClusterOptions
from aipc.batch.ray.shards import AnswerShards
from aipc.batch.work import BatchWork, Counts, stopping
from aipc.cluster.connection import connected
from aipc.cluster.nodes import GPU, own_resources
from aipc.devices.remembered import remembered_devices
from aipc.errors import ClusterError, UsageError
from aipc.models.store import Store
from aipc.progress import Notify


@contextmanager
def on_cluster(address: str, store: Store) -> Iterator[None]:
    """Connected to the cluster, or to one that is started here with this machine's devices.

    Raises:
        UsageError: the address is for programs outside of the cluster, whose files it can't see.
        ClusterError: as `aipc.cluster.connection.connected`.
    """
    if address.startswith("ray://"):
        what = f"{address} leads to a cluster from outside, where it does not see IN and OUT"
        raise UsageError(what, "run it on a node of the cluster, with --ray auto")
    if address != HERE:
        with connected(address):
            yield
        return
    resources = own_resources(remembered_devices(store.devices))
    gpus = resources.pop(GPU, None)
    with connected(gpus=gpus, resources=resources):
        yield


class ClusterBatch:
    """The part of one batch that a cluster does; this process is connected to it.

    ``artifacts`` is shown each answer; ``show_counts`` is told how far it is, at each block's
    end and about once a second.

    Raises:
        BatchError: the shards are another run's, or can't be read or written.
        ClusterError: no node has such a device.
    """

    def __init__(
        self,
        lines: CheckedInput,
        kept: PartialFile,
        plan: NodePlan,
        options: ClusterOptions,
        artifacts: SeenArtifacts,
        notify: Notify,
        show_counts: Callable[[Counts], None],
    ) -> None:
        self._lines = lines
        self._artifacts = artifacts
        self._show_counts = show_counts
        self._shards = AnswerShards(plan.shards)
        self._shards.begin(plan.key)
        self._dataset = ClusterDataset(replace(plan, shards=self._shards.address), options, notify)
        for name in self._shards.names():  # of a run that was killed before it had read them
            for answer in self._shards.read(name):
                artifacts.see(answer)
                kept.append(answer)

    def answer(self, work: BatchWork, *, heeds_signals: bool = False) -> int | None:
        """Have the nodes answer the lines of ``work``; the signal that stopped it, if one did.

        Raises:
            ClusterError: a node can't answer, actors died too often, or no device is left.
        """
        with stopping(work, heeds_signals=heeds_signals) as stopped:
            for report in self._dataset.reports(self._lines, work.take_all()):
                if stopped:
                    return stopped[0]
                if report is not None:
                    for answer in self._shards.read(report.shard) if report.shard else ():
                        self._artifacts.see(answer)
                        work.done(answer)
                self._see_limits(work)
                self._show_counts(work.counts)
        if work.counts.left and not work.stopped:
            raise ClusterError(f"{work.counts.left} lines got no answer", "run it again to go on")
        return None

    def remove(self) -> None:
        """Remove the shards, once their answers are in OUT."""
        self._shards.remove()

    def _see_limits(self, work: BatchWork) -> None:
        was_stopped = work.stopped
        work.check_limits()
        if work.stopped and not was_stopped:
            self._shards.stop()
