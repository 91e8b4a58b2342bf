"""What `aipc prove` found, as the file that a user may attach to an issue.

These fields are all that a file can hold: nothing is taken over whole from what a system or a
vendor reports, so no path, user, host, serial number or text of a prompt gets into one by chance.
The file names its own SHA-256, which shows damage and edits by hand, not who wrote it.
None everywhere means "not measured", or not reported by this system; never zero.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aipc import records
from aipc.errors import AipcError, MeasurementError
from aipc.measure.statistics import Interval

SCHEMA = 1
_MARKUP = re.compile(r"[<>|`*\\\[\]\x00-\x1f\x7f-\x9f]")
"""What Markdown or a terminal would take for more than text; files come from anybody."""

OK, FAILED, TIMED_OUT, WRONG, NOT_PLACED, NOT_TRIED, SLOW = (
    "ok",
    "failed",
    "timed out",
    "wrong",
    "not placed",
    "not tried",
    "slow",
)
"""Verdicts.  Of several faults the first in this order names the device."""
MEASURED, EMULATED, SOFTWARE = "measured", "emulated", "software device"
"""What a device's figures are of: the hardware, the NPU's pipeline on the CPU, or a driver that
computes a GPU's work on the CPU."""


@dataclass(frozen=True)
class ProvenMachine:
    processor: str
    architecture: str
    cores: int | None
    threads: int
    features: tuple[str, ...]
    memory_bytes: int
    system: str
    """Such as "Debian 12", "Windows 10.0.26100" or "macOS 15.1"."""
    kernel: str | None
    """Linux: its numbers alone, without what its builder calls it."""
    python: str
    versions: Mapping[str, str]
    """Runtime package → version installed."""
    unreached: tuple[str, ...] = ()
    """GPUs and NPUs that the system sees and no runtime reaches, each "kind: name"."""


@dataclass(frozen=True)
class ProvenModel:
    name: str
    """A short name of the catalogue's; "another" for any other, whose name may be somebody's."""
    parameters: int | None
    context: int
    """Tokens that a prompt and its answer may have together."""


@dataclass(frozen=True)
class TokenAgreement:
    """Of an answer's tokens, those that the judge would have chosen after the ones before them."""

    what: str
    """Such as "2,000 tokens", "questions" or "after a reload"."""
    prompt_tokens: int
    tokens: int
    agreed: int
    shortfall: float
    """Mean over the tokens, in nats: how much less likely than its best the judge holds them."""
    first_miss: int | None = None
    """Place in the answer, from 0."""


@dataclass(frozen=True)
class StartTimes:
    """In seconds."""

    first_s: float
    """The first loading, with all compiling."""
    cold_token_s: float | None = None
    """From there to the first token of a question."""
    again_s: float | None = None
    """Loading in a new process, from what the first one left."""
    again_token_s: float | None = None


@dataclass(frozen=True)
class FoundPlacement:
    """Where the work was done, by what the runtime profiles and by the system's counters."""

    nodes: Mapping[str, int] = field(default_factory=dict)
    """Execution provider → operators that it computed."""
    busy_share: float | None = None
    """Of the device while it answered, 0 to 1."""
    process_cores: float | None = None
    """Processor cores that the process kept busy meanwhile."""


@dataclass(frozen=True)
class FoundSpeed:
    prompt_tokens: int
    runs: int
    prompt_per_s: Interval
    """Tokens of the prompt."""
    token_s: Interval
    """A token after the first."""


@dataclass(frozen=True)
class FoundEnergy:
    """Of the whole device or package, with all that runs on it, idle too."""

    source: str
    joules_per_token: float
    watts: float


@dataclass(frozen=True)
class LongAnswer:
    tokens: int
    repeated: float
    loops: bool
    odd: float
    """As `aipc.measure.quality.degenerate.AnswerCheck` has them."""


@dataclass(frozen=True)
class FoundCancel:
    ended_s: float
    """From the cancel to the end of the answer."""
    free_s: float
    """From the cancel to the first token of the next answer."""
    same_after: bool
    """The next answer has the tokens that it had before."""


@dataclass(frozen=True)
class TrialFailure:
    stage: str
    """What it was doing."""
    how: str
    """"crashed", "took too long", or the class of the error: its text may name a path."""
    status: int | None = None
    """A crashed process's."""


@dataclass(frozen=True)
class DeviceFault:
    kind: str
    """A verdict."""
    words: str


@dataclass(frozen=True)
class DeviceProof:
    """A device through a runtime."""

    runtime: str
    device: str
    """As its runtime addresses it."""
    kind: str
    name: str
    """Its maker's."""
    driver: str | None
    memory_bytes: int | None
    precisions: tuple[str, ...]
    claim: str
    """What the figures are of: `MEASURED`, `EMULATED` or `SOFTWARE`."""
    weights: str
    """The recipe's tag."""
    properties: Mapping[str, str] = field(default_factory=dict)
    longest_prompt: int | None = None
    """Tokens, where the device has a limit of its own."""
    judge: str | None = None
    """The runtime with which the CPU judged the answers."""
    judged_same_weights: bool = True
    starts: StartTimes | None = None
    placement: FoundPlacement | None = None
    agreements: tuple[TokenAgreement, ...] = ()
    speed: FoundSpeed | None = None
    energy: FoundEnergy | None = None
    long_answer: LongAnswer | None = None
    cancel: FoundCancel | None = None
    same_after_reload: bool | None = None
    failure: TrialFailure | None = None
    cut: tuple[str, ...] = ()
    """Steps that there was no time for."""
    faults: tuple[DeviceFault, ...] = ()
    """The worst first."""

    @property
    def verdict(self) -> str:
        return self.faults[0].kind if self.faults else OK

    @property
    def told_verdict(self) -> str:
        """With a word on steps that were left out."""
        return f"{OK}, in part" if self.verdict == OK and self.cut else self.verdict

    @property
    def place(self) -> str:
        """Such as "NPU through openvino"."""
        return f"{self.device} through {self.runtime}"


@dataclass(frozen=True)
class MachineProof:
    schema: int
    created: str
    """The day, ISO 8601, in UTC."""
    aipc: str
    """Its version."""
    minutes: float
    """The time that it was given."""
    seconds: float
    """The time that it took."""
    others_share: float
    """Of the processor's time, what other programs took meanwhile, 0 to 1."""
    machine: ProvenMachine
    model: ProvenModel
    devices: tuple[DeviceProof, ...]
    sha256: str = ""
    """Of the other fields' canonical JSON."""


def signed(proof: MachineProof) -> MachineProof:
    """With the SHA-256 of all the rest."""
    return replace(proof, sha256=_sha256(records.plain(proof)))


def to_json(proof: MachineProof) -> str:
    """The file's text."""
    return json.dumps(records.plain(proof), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def read_proof(file: Path) -> MachineProof:
    """Read a file and verify its hash.

    Raises:
        MeasurementError: it is missing, damaged, altered, of a newer schema or no proof.
    """
    try:
        table = records.read_object(file)
    except AipcError as error:
        raise MeasurementError(error.what, "give a file that `aipc prove` wrote") from error
    if table.get("schema") != SCHEMA or "devices" not in table:
        stated = table.get("schema")
        raise MeasurementError(
            f"'{file}' is no file of `aipc prove` that this version reads (schema {stated!r})",
            "give one that it wrote, or update aipc",
        )
    if any(_MARKUP.search(text) for text in _texts(table)):
        what = f"'{file}' holds marks that `aipc prove` never writes"
        raise MeasurementError(what, "take the file as `aipc prove` wrote it")
    if table.get("sha256") != _sha256(table):
        raise MeasurementError(
            f"'{file}' was altered: its contents have another SHA-256 than it states",
            "take the file as `aipc prove` wrote it",
        )
    try:
        return records.read(MachineProof, table)
    except records.Misfit as error:
        what = f"'{file}' is no usable file of `aipc prove`: {error}"
        raise MeasurementError(what, "update aipc, or make it again") from error


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield name
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _sha256(table: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in table.items() if name != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
