"""Every device of this machine tried through every runtime, within a given time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import aipc
from aipc.artifact import manifest
from aipc.artifact.config import read_context
from aipc.choose import read_artifact
from aipc.choose.plan import check_emulation, emulated_npu
from aipc.choose.runtime_device import RuntimeDevice, runtime_devices
from aipc.devices import Device, resolve_device
from aipc.devices.device import plain_name
from aipc.devices.reach import RUNTIMES
from aipc.devices.system.cpu import others_s, read_cpu
from aipc.errors import AipcError, DeviceError, UsageError
from aipc.measure.prove.device_trial import DeviceTrial, PlaceToProve
from aipc.measure.prove.evidence import stated
from aipc.measure.prove.machine import proven_machine
from aipc.measure.prove.options import ProofOptions
from aipc.measure.prove.processes import (
    ProofCommands,
    list_devices_apart,
)
from aipc.measure.prove.record import (
    NOT_TRIED,
    SCHEMA,
    DeviceFault,
    DeviceProof,
    MachineProof,
    ProvenModel,
    TrialFailure,
    signed,
)
from aipc.measure.prove.verdict import find_faults
from aipc.models import names
from aipc.models.catalogue import CATALOGUE
from aipc.models.source import ArtifactSource, Source, describe
from aipc.models.store import Store
from aipc.progress import Notify, Progress, silent
from aipc.session.convert import announce, log, prepare

FULL_MODEL = "phi-3-mini"
_FEWEST_S = 10.0
"""With less than that left, a device is not tried."""


class Prover:
    """Tries devices in processes of their own; ``commands`` are those processes' programs."""

    def __init__(
        self,
        store: Store,
        options: ProofOptions,
        progress: Progress = silent,
        notify: Notify = log,
        commands: ProofCommands | None = None,
    ) -> None:
        self._store = store
        self._options = options
        self._progress = progress
        self._notify = notify
        self._commands = commands or ProofCommands()
        self._unlisted: list[DeviceProof] = []

    def prove(
        self,
        name: str | None = None,
        *,
        device: str = "auto",
        runtime: str = "auto",
        emulate: bool = False,
    ) -> MachineProof:
        """Try what was requested; the CPU is tried as well, since others are compared with it.

        Raises:
            UsageError: a name that is no device or runtime.
            DeviceError: this machine has no such device.
            AipcError: the model can't be found or fetched.
        """
        source = names.resolve(name or CATALOGUE.default.name, self._store)
        listed = self._listed(runtime)
        requested = _requested(listed, device, emulate=emulate)
        devices = [one for found in listed.values() for one in found]
        announce(name, source, self._store, self._notify)
        wanted = places_to_try(source, listed, requested, emulate=emulate)
        places = [self._ready(source, *one) for one in wanted]
        if not places and not self._unlisted:
            raise DeviceError("no runtime reaches a device here", "`aipc doctor` shows why")
        begun, busy = time.monotonic(), others_s()
        proofs = [*self._unlisted, *self._try_all(places)]
        seconds = time.monotonic() - begun
        others = (others_s() - busy) / (seconds * read_cpu().usable_threads)
        return signed(
            MachineProof(
                SCHEMA,
                datetime.now(timezone.utc).date().isoformat(),
                aipc.__version__,
                self._options.minutes,
                round(seconds, 1),
                round(min(max(others, 0.0), 1.0), 3),
                proven_machine(devices),
                _model(source, places),
                tuple(proofs),
            )
        )

    def _listed(self, runtime: str) -> dict[str, tuple[Device, ...]]:
        """Runtime → what it reaches."""
        if runtime not in {"auto", *RUNTIMES}:
            raise UsageError(f"unknown runtime '{runtime}'", f"choose {' or '.join(RUNTIMES)}")
        found: dict[str, tuple[Device, ...]] = {}
        for one in RUNTIMES if runtime == "auto" else (runtime,):
            devices = list_devices_apart(self._commands.listing, one)
            if isinstance(devices, TrialFailure):
                self._unlisted.append(_unlisted(one, devices))
                devices = ()
            found[one] = devices
        return found

    def _ready(self, source: Source, place: RuntimeDevice, emulate: bool) -> PlaceToProve:
        if place.target is None:
            folder = source.path if isinstance(source, ArtifactSource) else None
            return PlaceToProve(place, emulate, folder)
        try:
            made = prepare(
                source,
                None,
                self._store,
                target=place.target,
                progress=self._progress,
                notify=self._notify,
            )
        except AipcError as error:
            self._notify(f"nothing could be converted for {place.target.name}: {error}")
            failure = TrialFailure("converting", type(error).__name__)
            return PlaceToProve(place, emulate, None, failure)
        return PlaceToProve(place, emulate, made.path)

    def _try_all(self, places: Sequence[PlaceToProve]) -> list[DeviceProof]:
        until = time.monotonic() + 60 * self._options.minutes
        proofs: list[DeviceProof] = []
        self._store.home.mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(places):
            weights = [_weight(other) for other in places[number:]]
            left = until - time.monotonic()
            share = left * weights[0] / sum(weights)
            found = self._try(one, places, share)
            if not found.faults:
                found = replace(found, faults=find_faults(found, _fastest_cpu(proofs)))
            self._notify(told_verdict(found))
            proofs.append(found)
        return proofs

    def _try(self, one: PlaceToProve, places: Sequence[PlaceToProve], share: float) -> DeviceProof:
        if one.folder is None:
            return one.stated
        if share < _FEWEST_S:
            fault = DeviceFault(NOT_TRIED, "no time was left for it; more --minutes give it some")
            return replace(one.stated, faults=(fault,))
        about = one.stated
        self._notify(f"{about.place}, {about.name}: at most {share:.0f} s ...")
        trial = DeviceTrial(one, one.folder, self._store.home, share, self._commands, self._notify)
        return trial.run(*_judge_of(one, one.folder, places))


def _requested(listed: dict[str, tuple[Device, ...]], device: str, *, emulate: bool) -> str:
    """The vendor's name of the device that is wanted, or "auto".

    Raises:
        UsageError: it is no device's name.
        DeviceError: this machine has none.
    """
    name = plain_name(device)
    if emulate and name != "auto":
        check_emulation(name, "openvino")
        return "NPU"
    if name == "auto":
        return name
    return resolve_device(name, [one.name for devices in listed.values() for one in devices])


def places_to_try(
    source: Source,
    listed: dict[str, tuple[Device, ...]],
    requested: str,
    *,
    emulate: bool = False,
) -> list[tuple[RuntimeDevice, bool]]:
    """Each with whether it is emulated; the CPU's first, and software devices among them.

    ``listed`` is runtime → devices, ``requested`` a vendor's name of one of them or "auto".
    """
    artifact = read_artifact(source.path) if isinstance(source, ArtifactSource) else None
    found = [
        (one, False)
        for runtime, devices in listed.items()
        for device in devices  # each by its name: "auto" may leave some out
        if device.kind == "cpu" or requested in {"auto", device.name}
        for one in runtime_devices(devices, device=device.name, runtime=runtime, artifact=artifact)
    ]
    if emulate and listed.get("openvino"):
        npu = (emulated_npu(listed["openvino"]),)
        emulated = runtime_devices(npu, runtime="openvino", artifact=artifact)
        found += [(one, True) for one in emulated]
    return sorted(found, key=lambda one: one[0].device.kind != "cpu")


def _weight(one: PlaceToProve) -> float:
    """Of a place's share of the time: accelerators compile."""
    return 1.0 if one.is_cpu else 3.0


def _judge_of(one: PlaceToProve, folder: Path, places: Sequence[PlaceToProve]) -> tuple[str, Path]:
    """(runtime, artifact) with which the CPU judges: another's for the CPU itself, if there is."""
    for other in places if one.is_cpu else ():
        if other.is_cpu and other.folder and other.place.runtime != one.place.runtime:
            return other.place.runtime, other.folder
    return one.place.runtime, folder


def _fastest_cpu(proofs: Sequence[DeviceProof]) -> DeviceProof | None:
    cpus = [one for one in proofs if one.kind == "cpu" and one.speed is not None]
    return min(cpus, key=lambda one: one.speed.token_s.middle if one.speed else 0.0, default=None)


def _unlisted(runtime: str, failure: TrialFailure) -> DeviceProof:
    device = Device("all", "all", "every device", runtimes=(runtime,))
    proof = replace(stated(RuntimeDevice(device, runtime, None), None), failure=failure)
    return replace(proof, faults=find_faults(proof, None))


def told_verdict(found: DeviceProof) -> str:
    """In one line."""
    reasons = "; ".join(fault.words for fault in found.faults)
    return f"{found.place}: {found.told_verdict}{f': {reasons}' if reasons else ''}"


def _model(source: Source, places: Sequence[PlaceToProve]) -> ProvenModel:
    folder = next((one.folder for one in places if one.folder is not None), None)
    about: dict[str, Any] = describe(source)
    if isinstance(source, ArtifactSource):
        kept = manifest.find(source.path)
        about = {} if kept is None else kept.facts.get("source", {})
    model = CATALOGUE.of_source(about)
    name = model.name if model else "another"
    if folder is None:
        return ProvenModel(name, None, 0)
    return ProvenModel(name, read_artifact(folder).parameters, read_context(folder) or 0)
