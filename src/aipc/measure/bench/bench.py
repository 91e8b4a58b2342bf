"""A benchmark, from the names that a user gives to its immutable result."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import aipc
from aipc.devices import kind_of
from aipc.devices.counters.energy import find_energy
from aipc.generate import TextPipeline
from aipc.measure.bench.lineup import Lineup, ModelFormats
from aipc.measure.bench.noise import Listener
from aipc.measure.bench.plan import BenchPlan
from aipc.measure.bench.result import SCHEMA, Result, machine_facts
from aipc.measure.bench.round_robin import Prompts, RoundRobin
from aipc.measure.bench.workload import RandomPrompts, TextPrompts, check_context
from aipc.models.store import Store
from aipc.progress import Notify, Progress, silent
from aipc.runtimes.limits import better, measure_limits
from aipc.session.convert import log
from aipc.session.prepare import prepare_session


def measure(
    bench_plan: BenchPlan,
    *,
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = log,
) -> Result:
    """Load aipc and the peers, each in a process of its own, and let them run in turn.

    All stay loaded together, so the machine's memory has to hold all of them.

    Raises:
        UsageError: a peer that can't measure on this device.
        MeasurementError: aipc's own process failed, or a peer is not installed.
        AipcError: whatever fetching, converting or placing the model raises.
    """
    prepared = prepare_session(
        bench_plan.model,
        bench_plan.wanted,
        recipe=bench_plan.recipe,
        store=store,
        progress=progress,
        notify=notify,
    )
    plan = prepared.placement.plan
    text = TextPipeline.read(prepared.folder)
    check_context(bench_plan.workload, text.context)
    tokenizer, seed = text.tokenizer, bench_plan.options.seed
    prompts: Prompts
    if bench_plan.text is None:
        prompts = RandomPrompts(tokenizer.vocabulary_size, tokenizer.is_silent, seed)
    else:
        prompts = TextPrompts(tokenizer.encode(bench_plan.text, add_special_tokens=False), seed)
    lineup = Lineup(
        bench_plan, prepared, ModelFormats(prepared, bench_plan.recipe, progress, notify)
    )
    limits, listener = measure_limits(plan.device), Listener()
    energy = find_energy(kind_of(plan.device))
    turns = RoundRobin(lineup.running, bench_plan.workload, prompts, listener, energy, notify)
    with turns:
        turns.load(bench_plan.options.loads)
        turns.run()
    participants = lineup.participants(None if energy is None else energy.name)
    return Result(
        schema=SCHEMA,
        created=datetime.now(timezone.utc).isoformat("T", "seconds"),
        aipc=aipc.__version__,
        model=prepared.facts["model"],
        machine=machine_facts(),
        workload=bench_plan.workload,
        limits=better(limits, measure_limits(plan.device)),
        participants=participants,
        noise=listener.noise(participants),
    )


def new_file(result: Result, store: Store) -> Path:
    """Where a result goes that was given no name of its own."""
    when = result.created[:19].replace("-", "").replace(":", "")
    return store.home / "results" / f"{when}-{result.participants[0].artifact.name}.json"
