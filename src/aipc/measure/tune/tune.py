"""`aipc tune`: find the best setup for a model on this machine, and keep it for later sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from aipc import telemetry
from aipc.choose import Artifact, read_artifact
from aipc.choose.measured import Records, Tuned, Work, fingerprint
from aipc.choose.runtime_device import RuntimeDevice, runtime_devices
from aipc.choose.setup import ProbedChoice
from aipc.devices import Device, reachable_devices, resolve_device
from aipc.devices.counters.energy import find_energy
from aipc.devices.device import plain_name
from aipc.errors import MeasurementError, UsageError
from aipc.measure.tune.bench import ProcessBench
from aipc.measure.tune.goal import GOALS, TuneOptions
from aipc.measure.tune.search import SetupSearch
from aipc.measure.tune.verdict import Terms, TuningOutcome
from aipc.models import names
from aipc.models.catalogue import model_name
from aipc.models.source import ArtifactSource, Source
from aipc.models.store import Store
from aipc.progress import Notify, Progress, silent
from aipc.runtimes.registry import RUNTIMES
from aipc.session.convert import announce, log
from aipc.session.encoders.reader import refuse_reader, source_task
from aipc.session.parameters import count_parameters
from aipc.session.place import SessionOptions
from aipc.session.probe import probed_choice

STREAMS = 8


@dataclass(frozen=True)
class Tuning:
    """A search that is over: what it found, as a record.

    It is kept only where something was compared with the default choice.
    """

    outcome: TuningOutcome
    tuned: Tuned

    @property
    def is_kept(self) -> bool:
        return len(self.outcome.trials) > 1


def tune(
    name: str,
    goal: str,
    options: TuneOptions | None = None,
    *,
    device: str = "auto",
    runtime: str = "auto",
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = log,
) -> Tuning:
    """Measure, choose and keep; what is interrupted, or compared nothing, keeps nothing.

    Args:
        name: as `aipc.load`'s; an artifact folder keeps its weights.
        goal: latency (of one answer), throughput (of eight at once), energy, or quality (the
            least divergence at about the default choice's speed).
        options: what to measure, and the time for it.
        device: auto, or the one device to tune for.
        runtime: likewise.
        store: where models and records are kept; None is the user's own.
        progress: called during long work.
        notify: called with one line for each thing: what was measured.

    Raises:
        MeasurementError: nothing could be measured, or no counter counts energy here.
        AipcError: the model can't be found, or this machine has not what was requested.
    """
    telemetry.switch_off()
    options, store = options or TuneOptions(), store or Store()
    source = names.resolve(name, store)
    refuse_reader(name, source_task(source, store))
    found = _places(source, device, runtime)
    work = _work(goal, options)
    if goal == "energy":
        found = _with_counters(found)
    announce(name, source, store, notify)
    if not isinstance(source, ArtifactSource):
        parameters = count_parameters(source, store, progress)
        refuse_reader(name, source_task(source, store))  # it is here now, at least its checkpoint
        found = tuple(one.sized(parameters) for one in found)
    wanted = SessionOptions(device, runtime, work="serve" if work.streams > 1 else "chat")
    devices = tuple({one.device.name: one.device for one in found}.values())
    choice = probed_choice(name, source, wanted, None, devices, store, progress, notify)
    found = _chosen_first(found, choice)
    bench = ProcessBench(
        source, store, devices, work, progress, notify, wants_energy=goal == "energy"
    )
    terms = Terms(goal, work, options.budget_s, options.max_kl)
    outcome = _searched(SetupSearch(terms, bench, notify), bench, found)
    tuning = Tuning(outcome, _record(source, terms, outcome, reachable_devices()))
    if tuning.is_kept:
        Records(store.tuned).save(tuning.tuned)
    return tuning


def _searched(
    search: SetupSearch, bench: ProcessBench, found: Sequence[RuntimeDevice]
) -> TuningOutcome:
    """Whatever happens, nothing is left that was made only to be measured."""
    kept = None
    try:
        outcome = search.run(found)
        kept = outcome.choice.setup
        return outcome
    finally:
        bench.tidy(kept)


def _places(source: Source, device: str, runtime: str) -> tuple[RuntimeDevice, ...]:
    artifact = read_artifact(source.path) if isinstance(source, ArtifactSource) else None
    if runtime != "auto":
        RUNTIMES.check(runtime)
    devices = _devices(artifact, runtime)
    wanted = plain_name(device)
    if wanted != "auto":
        wanted = resolve_device(wanted, [one.name for one in devices])
    found = runtime_devices(devices, device=wanted, runtime=runtime, artifact=artifact)
    if not found:
        raise MeasurementError(
            "no device of this machine can run that model so", "`aipc devices` shows what is here"
        )
    return found


def _devices(artifact: Artifact | None, runtime: str) -> tuple[Device, ...]:
    if artifact is not None:
        return reachable_devices({artifact.target})
    return reachable_devices() if runtime == "auto" else reachable_devices({runtime})


def _chosen_first(
    found: tuple[RuntimeDevice, ...], choice: ProbedChoice | None
) -> tuple[RuntimeDevice, ...]:
    """What a session takes untuned comes first: the others are compared with it."""
    if choice is None:
        return found
    chosen = choice.runtime, choice.device
    return tuple(sorted(found, key=lambda one: (one.runtime, one.device.name) != chosen))


def _work(goal: str, options: TuneOptions) -> Work:
    if goal not in GOALS:
        raise UsageError(f"nothing is tuned for '{goal}'", f"choose one of {', '.join(GOALS)}")
    streams = STREAMS if goal == "throughput" else 1
    return Work(options.work, options.prompt, options.tokens, streams)


def _with_counters(
    found: Sequence[RuntimeDevice], find: Callable[[str], object | None] = find_energy
) -> tuple[RuntimeDevice, ...]:
    """The devices whose energy something counts: the others can't be compared."""
    counted = tuple(one for one in found if find(one.device.kind) is not None)
    if not counted:
        raise MeasurementError(
            "no energy counter here: no processor, GPU or battery reports what it draws",
            "tune for latency, throughput or quality",
        )
    return counted


def _record(
    source: Source, terms: Terms, outcome: TuningOutcome, devices: Sequence[Device]
) -> Tuned:
    return Tuned(
        model=source.name,
        label=model_name(source),
        goal=terms.goal,
        work=terms.work,
        when=datetime.now(timezone.utc).isoformat("T", "seconds"),
        machine=fingerprint(devices),
        choice=outcome.choice,
        gain=outcome.gain,
        trials=outcome.trials,
    )
