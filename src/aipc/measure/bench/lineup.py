"""Who takes part in a benchmark, and with what: aipc first, then the peers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aipc.artifact import manifest
from aipc.artifact.files import GENAI_CONFIG, OPENVINO_MODEL
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.devices import kind_of
from aipc.devices.system.cpu import read_cpu
from aipc.errors import ArtifactError, MeasurementError, UsageError
from aipc.measure.bench.plan import BenchPlan
from aipc.measure.bench.result import ArtifactFacts, Participant
from aipc.measure.bench.roofline import read_needs
from aipc.measure.bench.round_robin import RunningParticipant
from aipc.measure.bench.runner import ParticipantProcess
from aipc.measure.peers.peers import PeerSpec, find_interpreter, packages_folder
from aipc.models.source import ArtifactSource
from aipc.models.store import Store
from aipc.progress import Notify, Progress
from aipc.session.convert import prepare
from aipc.session.prepare import PreparedModel

OWN = "aipc"
_OWN_SCRIPT = Path(__file__).parents[1] / "peers" / "aipc.py"


class ModelFormats:
    """Makes what peers load of the model that a session was prepared for."""

    def __init__(
        self, prepared: PreparedModel, recipe: Recipe | None, progress: Progress, notify: Notify
    ) -> None:
        self._prepared = prepared
        self._recipe = recipe
        self._report = progress, notify

    def find(self, format: str) -> Path:  # noqa: A002 - peers.toml's word
        """The model in that format: aipc's own artifact where it is in it, else made now.

        Raises:
            MeasurementError: this model can't be had in that format here; how to give it.
        """
        own, source = self._prepared.folder, self._prepared.source
        if _format_of(own) == format:
            return own
        if isinstance(source, ArtifactSource):
            raise MeasurementError(
                f"'{own.name}' is no {format} model", "give the peer's own with --peer NAME=PATH"
            )
        if format in {"openvino", "onnx"}:
            return self._converted(format)
        found = self._prepared.store.fetch(source, self._report[0])
        if format == "gguf" and found.suffix != ".gguf":
            raise MeasurementError(
                f"{self._prepared.facts['model']} has no GGUF file",
                "give one with --peer NAME=FILE",
            )
        return found

    def _converted(self, runtime: str) -> Path:
        source, store = self._prepared.source, self._prepared.store
        progress, notify = self._report
        target = find_target("cpu", runtime)
        made = prepare(source, self._recipe, store, target=target, progress=progress, notify=notify)
        return made.path


def artifact_facts(path: Path, properties: Mapping[str, str]) -> ArtifactFacts:
    """What is stated of an artifact, a checkpoint folder or a GGUF file."""
    files = [path] if path.is_file() else sorted(one for one in path.iterdir() if one.is_file())
    made = None if path.is_file() else _manifest(path)
    return ArtifactFacts(
        name=path.name,
        nbytes=sum(file.stat().st_size for file in files),
        sha256=_sha256(files, made),
        recipe={} if made is None else dict(made.facts.get("recipe") or {}),
        needs=read_needs(path, properties),
    )


def _manifest(folder: Path) -> manifest.Manifest | None:
    try:
        return manifest.read(folder)
    except ArtifactError:
        return None


def _sha256(files: list[Path], made: manifest.Manifest | None) -> str:
    """Of the lines "HASH  NAME" of all files, as sha256sum writes them."""
    known = {} if made is None else {name: facts.sha256 for name, facts in made.files.items()}
    rows = (f"{known.get(file.name) or manifest.sha256(file)}  {file.name}\n" for file in files)
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def _format_of(path: Path) -> str:
    if (path / OPENVINO_MODEL).exists():
        return "openvino"
    if (path / GENAI_CONFIG).exists():
        return "onnx"
    return "gguf" if path.suffix == ".gguf" else "checkpoint"


@dataclass(frozen=True)
class _Entry:
    participant: RunningParticipant
    artifact: Path


class Lineup:
    """Everyone ready to load; nothing is loaded yet."""

    def __init__(self, bench_plan: BenchPlan, prepared: PreparedModel, forms: ModelFormats) -> None:
        """``prepared`` is what a session would load; ``forms`` makes what peers load of it.

        Raises:
            UsageError: a peer that does not measure on that device.
            MeasurementError: a peer that is not installed, or has no model in its format.
        """
        self._bench_plan = bench_plan
        self._plan = prepared.placement.plan
        self._entries = [self._own(prepared)]
        for entry in bench_plan.peers:
            kind = kind_of(self._plan.device)
            if kind not in entry.peer.kinds:
                raise UsageError(
                    f"the peer {entry.peer.name} measures on {' or '.join(entry.peer.kinds)}, "
                    f"not on the {kind.upper()}",
                    "name the device with --device, or leave the peer out",
                )
            artifact = entry.artifact or forms.find(entry.peer.format)
            self._entries.append(self._peer(entry, artifact, prepared.store))

    @property
    def running(self) -> list[RunningParticipant]:
        return [entry.participant for entry in self._entries]

    def participants(self, energy_source: str | None) -> tuple[Participant, ...]:
        """What is stated of each, its samples included."""
        return tuple(_participant(entry, energy_source) for entry in self._entries)

    def _own(self, prepared: PreparedModel) -> _Entry:
        options = own_options(self._bench_plan, prepared.store)
        return _Entry(_running(OWN, None, _OWN_SCRIPT, options, required=True), prepared.folder)

    def _peer(self, entry: PeerSpec, artifact: Path, store: Store) -> _Entry:
        peer = entry.peer
        program = self._bench_plan.pythons.get(peer.name) or find_interpreter(peer, store)
        is_alike = peer.format == self._plan.runtime and not entry.defaults
        options = self._options(artifact, self._plan.properties if is_alike else {})
        options["packages"] = str(packages_folder(peer, store))
        if entry.defaults:
            options["threads"] = None
        return _Entry(_running(entry.name, program, peer.script, options), artifact)

    def _options(self, artifact: Path, properties: Mapping[str, str]) -> dict[str, Any]:
        """What `participant_loop` hands to a script."""
        bench_plan, cpu = self._bench_plan, read_cpu()
        return {
            "artifact": str(artifact),
            "device": self._plan.device,
            "properties": dict(properties),
            "threads": min(cpu.physical_cores or cpu.usable_threads, cpu.usable_threads),
            "tokens": max(bench_plan.prompts) + max(bench_plan.outputs),
            "batch": max(bench_plan.batches),
        }


def own_options(plan: BenchPlan, store: Store) -> dict[str, Any]:
    """The words by which aipc's own participant loads, as plain data: all that the user gave."""
    return {
        **asdict(plan.wanted),
        "model": plan.model,
        "store": str(store.home),
        "recipe": None if plan.recipe is None else asdict(plan.recipe),
    }


def _running(
    name: str,
    program: str | None,
    script: Path,
    options: Mapping[str, Any],
    *,
    required: bool = False,
) -> RunningParticipant:
    return RunningParticipant(
        name, lambda: ParticipantProcess(name, program, script, options), required
    )


def _participant(entry: _Entry, energy_source: str | None) -> Participant:
    participant = entry.participant
    facts = participant.facts
    properties = {name: str(value) for name, value in facts.get("properties", {}).items()}
    return Participant(
        name=participant.name,
        runtime=facts.get("runtime", ""),
        device=facts.get("device", ""),
        properties=properties,
        versions=dict(facts.get("versions", {})),
        artifact=artifact_facts(entry.artifact, properties),
        loads=tuple(participant.loads),
        samples=tuple(participant.samples),
        peak_memory_bytes=participant.peak_memory_bytes,
        energy_source=energy_source,
        failure=participant.failure,
    )
