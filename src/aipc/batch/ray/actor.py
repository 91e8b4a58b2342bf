"""What runs on each device of a cluster: a pool with one worker, asked for several blocks at once.

What goes wrong for all lines (no such device, no room, another version) is told to the driver as
a row; only the death of its process is for Ray to notice.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import aipc
from aipc.artifact import manifest
from aipc.batch.answers import LineAnswer
from aipc.batch.asking import answer_line
from aipc.batch.input.lines import Line
from aipc.batch.ray.incoming import IncomingWork
from aipc.batch.ray.shards import AnswerShards
from aipc.batch.run_key import RunKey
from aipc.cluster.each_node import prepare_process
from aipc.convert.recipe import Recipe
from aipc.devices.remembered import remembered_devices
from aipc.errors import AipcError, ClusterError
from aipc.models.store import Store
from aipc.pool.model_registry import ModelRegistry
from aipc.pool.options import PoolOptions
from aipc.pool.pool import Pool
from aipc.pool.status import ModelStatus
from aipc.pool.worker.loading import LOADER
from aipc.progress import unheard
from aipc.session.pull import pull_from


@dataclass(frozen=True)
class NodePlan:
    """What every node is told; plain data.

    ``models`` has what to load by the names that lines have, ``loading`` the arguments of `Pool`
    beside its device; ``model_from`` is as `aipc.session.pull` takes it, empty where each node
    fetches and converts for itself.
    """

    shards: str
    key: RunKey
    models: Mapping[str, str]
    device: str = "auto"
    loading: Mapping[str, Any] = field(default_factory=dict)
    model_from: str = ""
    in_flight: int = 64
    loader: str = LOADER
    version: str = aipc.__version__


@dataclass(frozen=True)
class BlockReport:
    """What became of one block: the ``shard`` with its answers; empty where none was begun.

    ``node`` is the host's name, ``actor`` names the process, and ``is_restarted`` says whether it
    replaces one that died; ``started_s`` is what it took until it could answer, at ``ready_at``
    (seconds since 1970), ``seconds`` what the block took.  ``error`` and ``fix`` are of an error
    that ends it all.
    """

    node: str
    actor: str
    is_restarted: bool
    shard: str = ""
    started_s: float = 0.0
    ready_at: float = 0.0
    seconds: float = 0.0
    error: str = ""
    fix: str = ""


class LineActor:
    """Ray makes one for each device; the blocks of `__call__` are awaited on one event loop."""

    def __init__(self, plan: NodePlan) -> None:
        import ray

        prepare_process()
        self._plan = plan
        context = ray.get_runtime_context()
        is_restarted = bool(context.was_current_actor_reconstructed)
        self._report = BlockReport(platform.node(), uuid4().hex, is_restarted)
        self._begun_s = time.perf_counter()
        self._opened: tuple[AnswerShards, Pool] | None = None
        self._names: Mapping[str, str] = {}
        """What the pool calls the models that lines name."""
        self._told: dict[str, Mapping[str, Any]] = {}
        self._preparing = asyncio.Lock()
        self._incoming = IncomingWork(plan.in_flight)

    async def __call__(self, block: Any) -> Any:
        """Answer a table of lines; a table of one `BlockReport`."""
        import pyarrow as pa

        started = time.perf_counter()
        lines = [Line(**row) for row in block.to_pylist()]
        try:
            shard = await self._answer(lines)
            report = replace(self._report, shard=shard)
        except AipcError as error:
            report = replace(self._report, error=error.what, fix=error.fix)
        report = replace(report, seconds=time.perf_counter() - started)
        return pa.Table.from_pylist([asdict(report)])

    async def _answer(self, lines: Sequence[Line]) -> str:
        """The name of the shard with the answers."""
        shards, pool = await self._ready(lines)
        if await asyncio.to_thread(lambda: shards.is_stopped):
            return ""
        answers = await self._incoming.answered(lines, partial(self._ask, pool))
        return await asyncio.to_thread(shards.write, answers)

    async def _ready(self, lines: Sequence[Line]) -> tuple[AnswerShards, Pool]:
        """Once the models of these lines are loaded; the first block waits for all there is."""
        async with self._preparing:
            if self._opened is None:
                self._opened = await asyncio.to_thread(self._open)
            _, pool = self._opened
            for model in {line.model for line in lines} - self._told.keys():
                status = await pool.load(self._names[model])
                self._told[model] = await asyncio.to_thread(self._about, status, pool.store)
            if not self._report.started_s:
                taken = time.perf_counter() - self._begun_s
                self._report = replace(self._report, started_s=taken, ready_at=time.time())
            return self._opened

    def _open(self) -> tuple[AnswerShards, Pool]:
        plan = self._plan
        if plan.version != aipc.__version__:
            what = f"it has aipc {aipc.__version__}, and the driver {plan.version}"
            raise ClusterError(what, "install the same version on every node")
        shards = AnswerShards(plan.shards)
        shards.check(plan.key)
        store = Store()
        if plan.model_from:
            _copy_models(plan, store)
        registry = ModelRegistry([*plan.models.values()], store, only_named=True)
        self._names = dict(zip(plan.models, registry.cards(), strict=True))
        pool = Pool(
            registry,
            PoolOptions(max_running=plan.in_flight, max_waiting=plan.in_flight),
            device=plan.device,
            loading=plan.loading,
            loader=plan.loader,
        )
        return shards, pool

    async def _ask(self, pool: Pool, line: Line) -> LineAnswer:
        answer = await answer_line(pool, line, self._names[line.model])
        return replace(answer, aipc=self._told[line.model])

    def _about(self, status: ModelStatus, store: Store) -> Mapping[str, Any]:
        """The ``aipc`` member of answers by this model."""
        facts = status.ready.facts if status.ready else {}
        device = str(facts.get("device", status.device))
        found = {one.name: one for one in remembered_devices(store.devices)}.get(device)
        made = manifest.find(Path(str(facts.get("artifact"))))
        return {
            "node": self._report.node,
            "device": device,
            "driver": found.driver if found else None,
            "artifact": made.contents if made else None,
        }


def _copy_models(plan: NodePlan, store: Store) -> None:
    """Out of the mirror into this node's store, once: the actors of a node wait for each other."""
    given = plan.loading.get("recipe")
    recipe = Recipe(**given) if given else None
    runtime = plan.loading.get("runtime", "auto")
    for name in plan.models.values():
        pull_from(plan.model_from, name, recipe, runtime=runtime, store=store, notify=unheard)
