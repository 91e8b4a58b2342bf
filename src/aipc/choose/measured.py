"""Measurements of a model on this machine, kept for later sessions.

    HOME/tuned/MODEL.json

MODEL is the source's name in the store, so a checkpoint that was changed is another model.  A
record holds only for its `Fingerprint` (the processor, devices, drivers and versions) and for what
its recipe gives.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aipc import disk
from aipc.choose.setup import Setup
from aipc.convert.recipe import REVISION, Recipe, recorded_recipe
from aipc.devices import Device
from aipc.devices.system.cpu import read_cpu
from aipc.devices.wheels import installed
from aipc.errors import AipcError, ArtifactError, ModelNotFound
from aipc.records import replace_text, with_hash, without_hash

SCHEMA = 1


@dataclass(frozen=True)
class Fingerprint:
    """What a measurement holds for; ``devices`` is name → the maker's name and the driver."""

    processor: str
    threads: int
    devices: Mapping[str, str]
    versions: Mapping[str, str]
    """Runtime package → version."""

    def changes(self, now: Fingerprint) -> tuple[str, ...]:
        """The changes since this one that make its measurement worthless ``now``; empty: none.

        ``now`` may have fewer devices: a session with one runtime sees its own alone.
        """
        return tuple(self._changes(now))

    @property
    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def _changes(self, now: Fingerprint) -> Iterator[str]:
        if (self.processor, self.threads) != (now.processor, now.threads):
            yield f"the processor was {self.processor} with {self.threads} threads"
        for name, device in now.devices.items():
            before = self.devices.get(name)
            if before is None:
                yield f"{name} was not there"
            elif before != device:
                yield f"{name} was {before}, is {device}"
        for package in sorted({*self.versions, *now.versions}):
            before, after = self.versions.get(package), now.versions.get(package)
            if before != after:
                yield f"{package} was {before or 'not installed'}, is {after or 'not installed'}"


def fingerprint(devices: Sequence[Device]) -> Fingerprint:
    """Of this machine, of which ``devices`` are known."""
    cpu = read_cpu()
    return Fingerprint(
        cpu.name,
        cpu.usable_threads,
        {
            device.name: f"{device.full_name}, driver {device.driver}"
            if device.driver
            else device.full_name
            for device in devices
        },
        dict(installed()),
    )


@dataclass(frozen=True)
class SetupFigures:
    """Of one setup at one kind of work; None is "not measured", never zero."""

    first_token_s: float
    """To the first token of a prompt, when the model has answered before."""
    token_s: float
    """A further token of one answer, on average."""
    nbytes: int
    """Of the artifact's files, which is near enough what its weights take in memory."""
    runs: int = 1
    """How many of them the figures are medians of."""
    spread: float | None = None
    """Half the range of the runs' whole times, as a share of the median: 0.05 is ±5 %."""
    tokens_per_s: float | None = None
    """Of all answers together, where several are under way at once."""
    joules_per_token: float | None = None
    kl: float | None = None
    """Mean divergence of the next token's distribution from the float16 model's, in nats."""
    load_s: float | None = None
    cold_s: float | None = None
    """The first prompt after loading."""


@dataclass(frozen=True)
class Work:
    """What was measured: prompts and answers of so many tokens, ``streams`` at a time.

    ``kind`` is "plain", or "copy" where the answer repeats parts of the prompt.
    """

    kind: str = "plain"
    prompt: int = 256
    tokens: int = 64
    streams: int = 1


@dataclass(frozen=True)
class Trial:
    """A setup and what it reached; ``frontier``: nothing else was better in every respect."""

    setup: Setup
    figures: SetupFigures
    frontier: bool = False


@dataclass(frozen=True)
class Tuned:
    """The choice for one model, and the trials that it was made from."""

    model: str
    label: str
    goal: str
    work: Work
    when: str
    """ISO 8601, in UTC."""
    machine: Fingerprint
    choice: Trial
    gain: float
    """How many times better for the goal than the default order's choice, in the same run."""
    trials: tuple[Trial, ...]
    revision: int = REVISION
    """Of the recipes; 0 where a version measured that stated none."""

    def changes(self, now: Fingerprint) -> tuple[str, ...]:
        """What makes the record worthless ``now``; empty: it holds."""
        changed = self.machine.changes(now)
        if self.setup.recipe and self.revision != REVISION:
            return (*changed, f"its recipe {self.setup.weights} is of an earlier version")
        return changed

    @property
    def setup(self) -> Setup:
        return self.choice.setup

    @property
    def why(self) -> str:
        """In words for a user."""
        work = "answers that copy from the prompt, " if self.work.kind == "copy" else ""
        return (
            f"measured here on {self.when[:10]} for {self.goal}: {work}{self._speed}, "
            f"{self.gain:.2f} times as good as the default choice"
        )

    @property
    def _speed(self) -> str:
        figures = self.choice.figures
        if self.goal == "throughput" and figures.tokens_per_s is not None:
            return f"{figures.tokens_per_s:.0f} tokens a second in {self.work.streams} answers"
        if self.goal == "energy" and figures.joules_per_token is not None:
            return f"{figures.joules_per_token:.2f} J a token"
        return f"{figures.token_s * 1000:.0f} ms a token"

    def objection(self, device: str, runtime: str, recipe: Recipe | None) -> str:
        """Why a session with these requests can't follow the record; empty: it can.

        ``device`` is a plain name such as "auto", "gpu" or "gpu.1".
        """
        name = self.setup.device.lower()
        if device not in {"auto", name, name.removesuffix(".0")}:
            return f"--device {device} was requested"
        if runtime not in {"auto", self.setup.runtime}:
            return f"--runtime {runtime} was requested"
        if recipe not in {None, self.setup.recipe}:
            return "another recipe was requested"
        return ""


class Records:
    """The folder of records; ``folder`` need not exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, model: str) -> Tuned | None:
        """The record of the source of that name, whatever machine it holds for.

        Raises:
            ArtifactError: there is one, and it can't be read.
        """
        file = self._file(model)
        return _read(file) if file.is_file() else None

    def save(self, tuned: Tuned) -> Path:
        """Keep it, in place of an older one of the model; it appears whole or not at all."""
        file = self._file(tuned.model)
        content = {"schema": SCHEMA, **with_hash(asdict(tuned))}
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        with disk.explained(file, ArtifactError, len(text)):
            replace_text(file, text)
        return file

    def forget(self, model: str) -> None:
        """Remove the record of a model.

        Raises:
            ModelNotFound: there is none.
        """
        try:
            self._file(model).unlink()
        except FileNotFoundError as error:
            raise ModelNotFound(
                f"nothing is tuned for '{model}'", "`aipc tune --list` shows what is"
            ) from error

    def all(self) -> tuple[list[Tuned], list[ArtifactError]]:
        """(readable records by label, the errors of the others)."""
        read = [_attempt(file) for file in sorted(self._folder.glob("*.json"))]
        found = [one for one in read if isinstance(one, Tuned)]
        wrong = [one for one in read if isinstance(one, ArtifactError)]
        return sorted(found, key=lambda tuned: tuned.label), wrong

    def _file(self, model: str) -> Path:
        return self._folder / f"{model}.json"


def _attempt(file: Path) -> Tuned | ArtifactError:
    try:
        return _read(file)
    except ArtifactError as error:
        return error


def _read(file: Path) -> Tuned:
    try:
        return _tuned(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AipcError) as error:
        raise ArtifactError(
            f"what was tuned can't be read from '{file}' ({error})", "run `aipc tune` again"
        ) from error


def _tuned(table: dict[str, Any]) -> Tuned:
    if table.pop("schema") != SCHEMA:
        raise ValueError("its schema is another version's")
    table = without_hash(table)
    made = {
        "work": Work(**table["work"]),
        "machine": Fingerprint(**table["machine"]),
        "choice": _trial(table["choice"]),
        "trials": tuple(map(_trial, table["trials"])),
        "revision": table.get("revision", 0),
    }
    return Tuned(**{**table, **made})


def _trial(table: Mapping[str, Any]) -> Trial:
    setup = table["setup"]
    recipe = recorded_recipe(setup["recipe"]) if setup["recipe"] else None
    setup = Setup(**{**setup, "recipe": recipe})
    return Trial(setup, SetupFigures(**table["figures"]), table["frontier"])
