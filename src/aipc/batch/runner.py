"""A batch from its file of requests to its file of answers, on this machine or on a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aipc.batch.answers import LineAnswer
from aipc.batch.input.lines import CheckedInput
from aipc.batch.input.source import checked
from aipc.batch.local import LocalBatch, ShowCounts
from aipc.batch.models import BatchModels
from aipc.batch.options import BatchOptions
from aipc.batch.output import check_begun, check_name, check_output, claimed, errors_path
from aipc.batch.partial import PartialFile
from aipc.batch.ray.options import ClusterOptions
from aipc.batch.run_key import RunKey
from aipc.batch.work import BatchWork, in_order
from aipc.models.store import Store
from aipc.pool.model_registry import ModelRegistry
from aipc.pool.worker.loading import LOADER
from aipc.progress import Notify, Progress, silent, unheard

IN_FLIGHT = 128
"""Lines under way, where the options do not say."""


@dataclass(frozen=True)
class BatchSummary:
    """What became of a batch; the counts are this run's, and ``before`` those answered earlier."""

    out: Path
    errors: Path | None
    """Where the failures are, if there are any."""
    answered: int
    failed: int
    before: int
    left: int
    """Lines without an answer: it was stopped."""
    failures: int
    """Lines whose answer is a failure, this run's or an earlier one's."""
    tokens: int
    """Prompts included."""
    generated: int
    seconds: float
    """From the first line asked to the last answer."""
    stopped: str = ""
    """Why it was, while lines are left."""
    stop_signal: int | None = None
    """The signal that stopped it."""

    @property
    def is_whole(self) -> bool:
        """Whether every line has an answer that is no failure."""
        return not self.left and not self.errors

    @property
    def tokens_per_s(self) -> float:
        """Generated."""
        return self.generated / self.seconds if self.seconds else 0.0


def run(
    source: Path | str | None,
    out: Path | str,
    model: str | None = None,
    options: BatchOptions | None = None,
    *,
    members: Mapping[str, Any] | None = None,
    system: str = "",
    store: Store | None = None,
    loader: str = LOADER,
    progress: Progress = silent,
    notify: Notify = unheard,
    show_counts: ShowCounts = lambda _: None,
    heeds_signals: bool = False,
    ray: str | None = None,
    cluster: ClusterOptions | None = None,
    **loading: Any,
) -> BatchSummary:
    """Answer all lines of ``source`` into ``out``, and go on with what an earlier run left.

    What a call with the same input, model and options answered before is kept in OUT.partial.

    Args:
        source: requests as OpenAI's batches have them, or prompts; None is the standard input.
        out: where the answers are written when there is one for each line; failures are written
            beside it, to OUT.errors.jsonl.
        model: a model as `aipc.load` takes it, which answers every line; None: the one that each
            line names.
        options: how; see `BatchOptions`.
        members: further members of each request's body, where the input is prompts.
        system: what is said before each prompt.
        store: where models are kept; None is the user's own.
        loader: as `Pool` has it; for tests.
        progress: called while the input is checked.
        notify: called with one line for each thing that a user should know.
        show_counts: called with how far it is.
        heeds_signals: SIGINT and SIGTERM stop it cleanly; in the main thread alone.
        ray: where the lines are answered: HOST:PORT of a Ray cluster's head, "auto" for a cluster
            of which this machine is a node, or "here", which starts Ray; None: without Ray.
        cluster: how they are spread there.
        loading: further arguments of `aipc.load` as plain data for JSON, as `Pool` takes them.

    Raises:
        UsageError: lines that can't be asked, each with its number; models that do not fit them; an
            ``out`` that can't be written, or only over the input.
        BatchError: files that can't be read or written, or are another run's.
        AipcError: as `aipc.load`; or its models can't be had any more.
    """
    options, out = options or BatchOptions(), Path(out)
    source = None if source is None else Path(source)
    store = store or Store()
    check_name(out, source)
    with claimed(out):
        check_output(out, retry_failed=options.retry_failed)
        chosen = None if model is None else ModelRegistry([model], store, only_named=True)
        name = None if chosen is None else next(iter(chosen.cards()))
        reading = checked(
            source,
            out,
            options,
            name,
            members=members,
            system=system,
            progress=progress,
            notify=notify,
        )
        with reading as lines:
            models = BatchModels(lines, chosen, store)
            one = _Run(lines, out, options, models, loading, notify, show_counts)
            check_begun(out, one.key({}))
            if ray is not None:
                spread = cluster or ClusterOptions()
                return one.run_on_cluster(ray, spread, loader, heeds_signals=heeds_signals)
            return asyncio.run(one.run_here(loader, heeds_signals=heeds_signals))


class _Run:
    """One call of `run`, from the checked input on."""

    def __init__(
        self,
        lines: CheckedInput,
        out: Path,
        options: BatchOptions,
        models: BatchModels,
        loading: Mapping[str, Any],
        notify: Notify,
        show_counts: ShowCounts,
    ) -> None:
        self._lines = lines
        self._out = out
        self._options = options
        self._models = models
        self._loading = {**loading, "exact": True} if options.exact else dict(loading)
        self._notify = notify
        self._show_counts = show_counts
        self._in_flight = 1 if options.exact else options.in_flight or IN_FLIGHT

    async def run_here(self, loader: str, *, heeds_signals: bool) -> BatchSummary:
        here = LocalBatch(
            self._lines,
            self._models,
            self._loading,
            self._in_flight,
            loader,
            self._notify,
            self._show_counts,
        )
        async with aclosing(here):
            with self._kept(self.key(await here.load())) as kept:
                work, before = self._work(kept)
                stopped_by = await here.answer(work, heeds_signals=heeds_signals)
                failures = kept.counts[1]
                self._finish(kept, work)
        return self._summary(work, before, failures, stopped_by)

    def key(self, artifacts: Mapping[str, str]) -> RunKey:
        options = {"exact": self._options.exact, **self._loading}
        return RunKey(self._lines.sha256, self._lines.model, artifacts, options)

    def run_on_cluster(
        self, address: str, options: ClusterOptions, loader: str, *, heeds_signals: bool
    ) -> BatchSummary:
        from aipc.batch.ray.actor import NodePlan
        from aipc.batch.ray.artifacts import SeenArtifacts
        from aipc.batch.ray.run import ClusterBatch, on_cluster

        loading = dict(self._loading)
        plan = NodePlan(
            shards=options.shards or f"{self._out}.shards",
            key=self.key({}),
            models={name: card.load_name for name, card in self._models.cards.items()},
            device=loading.pop("device", "auto"),
            loading=loading,
            model_from=options.model_from or "",
            in_flight=self._in_flight,
            loader=loader,
        )
        artifacts = SeenArtifacts(self._notify)
        with (
            on_cluster(address, self._models.registry.store),
            self._kept(plan.key, artifacts.see) as kept,
        ):
            cluster = ClusterBatch(
                self._lines, kept, plan, options, artifacts, self._notify, self._show_counts
            )
            work, before = self._work(kept)
            stopped_by = cluster.answer(work, heeds_signals=heeds_signals)
            failures = kept.counts[1]
            if self._finish(kept, work):
                cluster.remove()
        return self._summary(work, before, failures, stopped_by)

    def _kept(
        self, key: RunKey, see: Callable[[LineAnswer], None] = lambda _: None
    ) -> closing[PartialFile]:
        entries, retry = self._lines.entries, self._options.retry_failed
        return closing(PartialFile(self._out, key, entries, retry_failed=retry, see=see))

    def _work(self, kept: PartialFile) -> tuple[BatchWork, int]:
        """What is left to ask, and how many lines are answered already."""
        entries, left = self._lines.entries, kept.left()
        before = len(entries) - len(left)
        if before:
            self._notify(f"going on: {before:,} of {len(entries):,} lines are answered")
        return BatchWork(entries, in_order(entries, left), self._options, kept.append), before

    def _finish(self, kept: PartialFile, work: BatchWork) -> bool:
        """Write OUT if there is an answer for each line."""
        if work.counts.left:
            return False
        kept.finish(self._lines.faults, ordered=self._options.ordered)
        return True

    def _summary(
        self, work: BatchWork, before: int, failures: int, stop_signal: int | None
    ) -> BatchSummary:
        counts = work.counts
        errors = errors_path(self._out)
        return BatchSummary(
            out=self._out,
            errors=errors if not counts.left and errors.exists() else None,
            answered=counts.done - counts.failed,
            failed=counts.failed,
            before=before,
            left=counts.left,
            failures=failures,
            tokens=counts.tokens,
            generated=counts.generated,
            seconds=counts.elapsed_s,
            stopped=work.stopped if counts.left else "",
            stop_signal=stop_signal,
        )
