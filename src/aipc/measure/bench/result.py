"""What one benchmark found: raw samples, with all that they hold for.

A result is written once and never changed; reports, comparisons and tuning only read it.  The
file is JSON, its ``schema`` a number: a file of an older schema is brought up to date as it is
read (`UPGRADES`), one of a newer schema is refused.

None everywhere means "not measured", or not reported by this system; never zero.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aipc import records
from aipc.devices import reachable_devices
from aipc.devices.system.cpu import read_cpu
from aipc.devices.system.identity import machine_id
from aipc.devices.system.memory import read_memory
from aipc.errors import MeasurementError
from aipc.runtimes.limits import Limits

SCHEMA = 3

_LONGEST = 64 << 20  # bytes


def _from_schema_1(table: dict[str, Any]) -> dict[str, Any]:
    """Participants were called contestants."""
    participants = table.pop("contestants", None)
    return {**table, "schema": 2, "participants": participants}


def _from_schema_2(table: dict[str, Any]) -> dict[str, Any]:
    """Machines had no id, which is None where it is left out."""
    return {**table, "schema": 3}


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: _from_schema_1,
    2: _from_schema_2,
}
"""Schema → what makes the next schema's table of one of its tables."""


@dataclass(frozen=True)
class DeviceFacts:
    """One that a runtime reaches; the names are `aipc.devices.Device`'s."""

    name: str
    full_name: str
    driver: str | None


@dataclass(frozen=True)
class MachineFacts:
    """Where it was measured; results of machines that differ in this are not compared."""

    processor: str
    cores: int | None
    threads: int
    features: tuple[str, ...]
    memory_bytes: int
    system: str
    devices: tuple[DeviceFacts, ...]
    id: str | None = None
    """As `aipc.devices.system.identity.machine_id`; tells machines of the same make apart."""


@dataclass(frozen=True)
class Workload:
    """What every participant was given: all combinations of prompt length, output length, batch.

    Prompts are drawn anew for every repeat, so that no cache of prefixes answers them: random
    token ids by ``seed`` or, where ``text_sha256`` is given, stretches of that text.
    """

    prompts: tuple[int, ...]
    outputs: tuple[int, ...]
    batches: tuple[int, ...]
    repeats: int
    seed: int
    text_sha256: str | None = None


@dataclass(frozen=True)
class Needs:
    """What the network of an artifact asks of a machine."""

    weight_bytes: int
    """Read for one step of decoding, whatever the batch."""
    cache_bytes_per_token: int
    """Of keys and values, read in a step for every token before it."""
    operations_per_token: int
    """Of a prompt's token, without the attention over the ones before it and without the head."""


@dataclass(frozen=True)
class ArtifactFacts:
    """What was loaded; ``sha256`` is of all its files' names and contents together."""

    name: str
    nbytes: int
    sha256: str
    recipe: Mapping[str, Any]
    """As aipc.json states it; empty for a vendor's folder or file."""
    needs: Needs | None


@dataclass(frozen=True)
class Sample:
    """One run of one case.

    ``times`` has, for each sequence of the batch, the seconds from the start of the run to the
    arrival of each of its tokens.
    """

    prompt: int
    """Tokens of each prompt of the batch."""
    batch: int
    times: tuple[tuple[float, ...], ...]
    seconds: float
    """From the start of the run to its end."""
    cold: bool = False
    """The first inference after loading, in which a runtime may still arrange the weights."""
    repeat: int = 0
    """Samples of the same number were taken next to each other, one of each participant."""
    energy_j: float | None = None


@dataclass(frozen=True)
class Load:
    """One loading, in a process of its own, which had not imported the runtime before."""

    seconds: float
    peak_memory_bytes: int | None = None
    """Of the process when the model was loaded; None where the system does not report it."""


@dataclass(frozen=True)
class Participant:
    """``name`` is "aipc" or the peer's, as the command line has it.

    ``failure`` is the first error; of cases that it could not run there are no samples.
    """

    name: str
    runtime: str
    device: str
    properties: Mapping[str, str]
    versions: Mapping[str, str]
    artifact: ArtifactFacts
    loads: tuple[Load, ...]
    samples: tuple[Sample, ...]
    peak_memory_bytes: int | None
    """Of the process that made the samples, to its end."""
    energy_source: str | None = None
    """What counted ``energy_j``: "package", "gpu" …; of the whole device, not of a process."""
    failure: str | None = None


@dataclass(frozen=True)
class Noise:
    """What may have disturbed the figures; ``warnings`` say it for people, none is quiet."""

    others_cpu_share: float | None
    """Mean share of the processor's time that other processes took, 0 to 1."""
    slowest_mhz: float | None
    fastest_mhz: float | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """``created`` is ISO 8601, in UTC; the others are compared with the first participant."""

    schema: int
    created: str
    aipc: str
    """Its version."""
    model: str
    machine: MachineFacts
    workload: Workload
    limits: Limits
    participants: tuple[Participant, ...]
    noise: Noise


def write(result: Result, file: Path) -> None:
    """Write a new file, folders included.

    Raises:
        MeasurementError: there is one of that name already, or the disk refuses it.
    """
    records.write(result, file)


def read(file: Path) -> Result:
    """Read a file, of this schema or an older one, checked in every field.

    Raises:
        MeasurementError: it is missing, damaged, of a newer schema or no result.
    """
    try:
        return parse(_load(file))
    except OSError as error:
        raise MeasurementError(f"'{file}' can't be read ({error.strerror})", "check it") from error
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        fix = "give a file that `aipc bench` wrote"
        raise MeasurementError(f"'{file}' is no usable result: {reason}", fix) from error


def parse(table: Any) -> Result:
    """A result from parsed JSON.

    Raises:
        ValueError: saying what is wrong with it.
    """
    if not isinstance(table, dict) or type(table.get("schema")) is not int:
        raise records.Misfit("it has no schema number")
    table = records.without_hash(table)
    while table["schema"] in UPGRADES:
        table = UPGRADES[table["schema"]](table)
    if table["schema"] != SCHEMA:
        raise records.Misfit(f"its schema is {table['schema']}, this aipc reads up to {SCHEMA}")
    return records.read(Result, table)


def _load(file: Path) -> Any:
    with file.open("rb") as opened:
        text = opened.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} bytes")
    return json.loads(text.decode("utf-8"), parse_constant=_refuse)


def _refuse(constant: str) -> float:
    raise ValueError(f"it holds {constant}, which is no number")


def machine_facts() -> MachineFacts:
    """Of this machine; lists the runtimes' devices, which loads OpenVINO's plugins."""
    cpu = read_cpu()
    return MachineFacts(
        processor=cpu.name,
        cores=cpu.physical_cores,
        threads=cpu.usable_threads,
        features=cpu.features,
        memory_bytes=read_memory().total,
        system=platform.platform(),
        devices=tuple(
            DeviceFacts(device.name, device.full_name, device.driver)
            for device in reachable_devices()
        ),
        id=machine_id(),
    )
