"""Who takes part in a benchmark, and with what: aipc first, then the peers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aipc.devices import kind_of
from aipc.devices.system.cpu import read_cpu
from aipc.errors import UsageError
from aipc.measure.bench.contest import Racer
from aipc.measure.bench.formats import Forms, artifact_facts
from aipc.measure.bench.plan import BenchPlan
from aipc.measure.bench.result import Contestant
from aipc.measure.bench.runner import ProcessRunner
from aipc.measure.peers.environment import find_python
from aipc.measure.peers.peers import Entry
from aipc.models.store import Store
from aipc.session.prepare import Prepared

OWN = "aipc"
_OWN_SCRIPT = Path(__file__).parents[1] / "peers" / "aipc.py"


@dataclass(frozen=True)
class _Place:
    racer: Racer
    artifact: Path


class Lineup:
    """Everyone ready to load; nothing is loaded yet."""

    def __init__(self, asked: BenchPlan, prepared: Prepared, forms: Forms) -> None:
        """``prepared`` is what a session would load; ``forms`` makes what peers load of it.

        Raises:
            UsageError: a peer that does not measure on that device.
            MeasurementError: a peer that is not installed, or has no model in its format.
        """
        self._asked = asked
        self._plan = prepared.placement.plan
        self._places = [self._own(prepared)]
        for entry in asked.peers:
            self._check_device(entry)
            artifact = entry.artifact or forms.find(entry.peer.format)
            self._places.append(self._peer(entry, artifact, prepared.store))

    @property
    def racers(self) -> list[Racer]:
        return [place.racer for place in self._places]

    def contestants(self, energy_source: str | None) -> tuple[Contestant, ...]:
        """What is stated of each, its samples included."""
        return tuple(_contestant(place, energy_source) for place in self._places)

    def _own(self, prepared: Prepared) -> _Place:
        """Loads by the same words as a user's program, so that the same choices are made."""
        asked, wanted = self._asked, self._asked.wanted
        options = {
            "model": asked.model,
            "store": str(prepared.store.home),
            "device": wanted.device,
            "runtime": wanted.runtime,
            "properties": dict(wanted.properties),
            "recipe": None if asked.recipe is None else asdict(asked.recipe),
            "npu": asdict(wanted.npu),
            "overflow": wanted.overflow,
            "canary": wanted.canary,
        }
        return _Place(_racer(OWN, None, _OWN_SCRIPT, options, required=True), prepared.folder)

    def _peer(self, entry: Entry, artifact: Path, store: Store) -> _Place:
        peer = entry.peer
        python = self._asked.pythons.get(peer.name) or find_python(peer, store)
        is_alike = peer.format == self._plan.runtime and not entry.defaults
        options = self._options(artifact, self._plan.properties if is_alike else {})
        if entry.defaults:
            options["threads"] = None
        return _Place(_racer(entry.name, python, peer.script, options), artifact)

    def _options(self, artifact: Path, properties: Mapping[str, str]) -> dict[str, Any]:
        """What `peer_loop` hands to a script."""
        asked, cpu = self._asked, read_cpu()
        return {
            "artifact": str(artifact),
            "device": self._plan.device,
            "properties": dict(properties),
            "threads": min(cpu.physical_cores or cpu.usable_threads, cpu.usable_threads),
            "tokens": max(asked.prompts) + max(asked.outputs),
            "batch": max(asked.batches),
        }

    def _check_device(self, entry: Entry) -> None:
        kind = kind_of(self._plan.device)
        if kind not in entry.peer.kinds:
            raise UsageError(
                f"the peer {entry.peer.name} measures on {' or '.join(entry.peer.kinds)}, "
                f"not on the {kind.upper()}",
                "name the device with --device, or leave the peer out",
            )


def _racer(
    name: str,
    python: str | None,
    script: Path,
    options: Mapping[str, Any],
    *,
    required: bool = False,
) -> Racer:
    return Racer(name, lambda: ProcessRunner(name, python, script, options), required)


def _contestant(place: _Place, energy_source: str | None) -> Contestant:
    racer = place.racer
    facts = racer.facts
    properties = {name: str(value) for name, value in facts.get("properties", {}).items()}
    return Contestant(
        name=racer.name,
        runtime=facts.get("runtime", ""),
        device=facts.get("device", ""),
        properties=properties,
        versions=dict(facts.get("versions", {})),
        artifact=artifact_facts(place.artifact, properties),
        loads=tuple(racer.loads),
        samples=tuple(racer.samples),
        peak_memory_bytes=racer.peak_memory_bytes,
        energy_source=energy_source,
        failure=racer.failure,
    )
