"""A model meets a machine: which runtime and device are fastest for it, found out once and kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from aipc.choose.measured import fingerprint
from aipc.choose.runtime_device import RuntimeDevice
from aipc.convert.plans.planning import plan_decoder
from aipc.convert.recipe import Recipe
from aipc.devices import Device
from aipc.devices.system.memory import read_memory
from aipc.errors import ConversionError, UnsupportedModel
from aipc.models.source import ArtifactSource, Source
from aipc.models.store import Store
from aipc.progress import Notify, Progress
from aipc.records import JsonCache, Misfit, plain, read
from aipc.session.checkpoints import open_source
from aipc.session.convert import announce
from aipc.session.kept import kept_artifact, requested_places
from aipc.session.parameters import count_parameters
from aipc.session.place import SessionOptions

if TYPE_CHECKING:
    from aipc.checkpoint import Checkpoint
    from aipc.choose.probe.probe import PlannedSetup, ProbeResult
    from aipc.choose.setup import ProbedChoice


def probed_choice(
    name: str | None,
    source: Source,
    wanted: SessionOptions,
    recipe: Recipe | None,
    devices: Sequence[Device],
    store: Store,
    progress: Progress,
    notify: Notify,
) -> ProbedChoice | None:
    """The choice for the work that is wanted; None where there is nothing to choose from.

    ``name`` is the one that the user gave the model, None for none.

    Raises:
        AipcError: the checkpoint can't be fetched or read.
    """
    if (
        not wanted.probe
        or wanted.emulate
        or wanted.properties
        or isinstance(source, ArtifactSource)
    ):
        return None
    places = _places(wanted, recipe, devices)
    if len(places) < 2:
        return None
    parameters = count_parameters(
        source, store, progress, lambda: announce(name, source, store, notify)
    )
    places = tuple(one.sized(parameters) for one in places)
    meeting = _Meeting(source, recipe, places, devices, store)
    result = meeting.kept({"source": source.name})
    is_new = result is None
    # Without the checkpoint, what was converted of it serves on: it is fetched for no probe.
    if result is None and kept_artifact(source, wanted, recipe, devices, store) is None:
        announce(name, source, store, notify)
        result = meeting.measured(progress, notify)
    if result is None:
        return None
    from aipc.choose.probe.choice import choose_probed, none_fit
    from aipc.choose.probe.work import KINDS_OF_WORK

    available = read_memory().available
    choice = choose_probed(result, KINDS_OF_WORK[wanted.work], available)
    if is_new:
        found = choice.summary if choice else none_fit(result, available)
        notify(f"{found}; {_next(result)}")
    return choice


def _next(result: ProbeResult) -> str:
    if result.is_quiet:
        return "`aipc tune` measures more"
    return (
        f"other programs took {result.others:.0%} of the processor meanwhile, so it is measured "
        "again after an hour"
    )


def _places(
    wanted: SessionOptions, recipe: Recipe | None, devices: Sequence[Device]
) -> tuple[RuntimeDevice, ...]:
    """What was requested and can run the recipe."""
    return tuple(
        one
        for one in requested_places(wanted, devices)
        if recipe is None or (one.target and not one.target.misfit(recipe))
    )


class _Meeting:
    """One model and one machine, and what was measured when they met."""

    def __init__(
        self,
        source: Source,
        recipe: Recipe | None,
        places: Sequence[RuntimeDevice],
        devices: Sequence[Device],
        store: Store,
    ) -> None:
        self._source = source
        self._recipe = recipe
        self._places = places
        self._machine = fingerprint(devices).facts
        self._store = store
        self._cache = JsonCache(store.probed)

    def kept(self, model: Mapping[str, Any]) -> ProbeResult | None:
        """What was measured for ``model``: a source, or a shape."""
        from aipc.choose.probe.probe import ProbeResult

        with suppress(Misfit):
            found = read(ProbeResult, self._cache.find(self._identity(model)))
            if found.is_current(time.time()):
                return found
        return None

    def measured(self, progress: Progress, notify: Notify) -> ProbeResult | None:
        """Measured now, or before for another model of this shape; None for an unknown network."""
        from aipc.choose.probe.probe import shape

        with open_source(self._source, self._store, progress) as checkpoint:
            candidates = list(self._candidates(checkpoint))
            if len(candidates) < 2:
                return None
            kind = {"shape": shape(candidates[0].plan.network)}
            try:
                with self._alone():
                    result = self.kept(kind) or self._probe(candidates, progress)
                    for model in (kind, {"source": self._source.name}):
                        self._cache.keep(self._identity(model), plain(result))
            except OSError as error:
                notify(f"nothing was measured, so the documented order decides: {error.strerror}")
                return None
        return result

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time: two would measure each other; the next finds what was kept."""
        from filelock import FileLock

        self._store.probed.mkdir(parents=True, exist_ok=True)
        with FileLock(self._store.probed / ".lock"):
            yield

    def _probe(self, candidates: Sequence[PlannedSetup], progress: Progress) -> ProbeResult:
        from aipc.choose.probe.probe import LIMIT_S, Probe

        progress(f"measuring what is fastest here, once (at most {LIMIT_S:.0f} s)", 0, 0)
        return Probe(self._store.probed / "stacks").run(candidates)

    def _candidates(self, checkpoint: Checkpoint) -> Iterator[PlannedSetup]:
        from aipc.choose.probe.probe import PlannedSetup

        for one in self._places:
            setup = one.default(self._recipe)
            if one.target is None or setup.recipe is None:
                continue
            with suppress(UnsupportedModel, ConversionError):
                plan = plan_decoder(checkpoint, setup.recipe.rounded, one.target)
                yield PlannedSetup(setup, plan)

    def _identity(self, model: Mapping[str, Any]) -> dict[str, Any]:
        from aipc.choose.probe.probe import REVISION, identity

        candidates = [identity(one, one.default(self._recipe)) for one in self._places]
        return {
            "probe": REVISION,
            "machine": self._machine,
            "candidates": candidates,
            **model,
        }
