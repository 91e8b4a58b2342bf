"""The bench that a search measures on: artifacts made as they are needed, engines in processes."""

from __future__ import annotations

import itertools
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from aipc.choose.measured import Work
from aipc.choose.plan import target_for
from aipc.choose.setup import Setup
from aipc.convert.targets import Target
from aipc.devices import Device
from aipc.devices.counters.energy import EnergyCounter, drawn, find_energy
from aipc.devices.system.memory import read_memory
from aipc.errors import MeasurementError
from aipc.generate import TextPipeline
from aipc.measure.bench.runner import ParticipantProcess
from aipc.measure.bench.workload import Case, RandomPrompts
from aipc.measure.quality.passages import read_passages
from aipc.measure.quality.quality import measure_kl
from aipc.measure.tune.participants import SetupRun
from aipc.measure.tune.passing import PassingArtifacts
from aipc.models.source import ArtifactSource, Source
from aipc.models.store import Store
from aipc.progress import Notify, Progress
from aipc.session.convert import artifact_key, find_artifact, prepare
from aipc.session.parameters import count_parameters
from aipc.units import amount

SEED = 1
_ASK = "Repeat this text word for word and add nothing:\n\n{text}"

_SCRIPT = Path(__file__).with_name("engine.py")
_COLD_TOKENS = 2
_BYTES_A_WEIGHT = {"fp16": 2.0, "int8": 1.05, "int4": 0.65}
"""In the artifact, with scales, and with embedding and head in 8 bits."""
_LOADED = 1.3
"""Memory that a loaded model takes, as a multiple of its artifact: weights arranged anew, cache."""
_KEPT_FREE = 0.1
"""Of the memory, for everything else."""
_WEIGHTS_A_SECOND = 5e7
"""Converted, before any conversion was measured."""
_CALIBRATED = 20.0
"""How much longer a recipe that reads calibration text takes."""


class TuningPrompts:
    """As many prompts as the work has streams, others at every call."""

    def __init__(self, text: TextPipeline, work: Work) -> None:
        """Errors are those of `RandomPrompts`."""
        self._text = text
        self._work = work
        self._calls = itertools.count()
        tokenizer = text.tokenizer
        self._random = RandomPrompts(tokenizer.vocabulary_size, tokenizer.is_silent, SEED)

    def take(self, streams: int | None = None) -> list[list[int]]:
        """Token ids."""
        call, count = next(self._calls), streams or self._work.streams
        if self._work.kind == "copy":
            return [self._to_copy(call * count + at) for at in range(count)]
        return self._random.take(Case(self._work.prompt, self._work.tokens, count), call)

    def _to_copy(self, number: int) -> list[int]:
        """A question whose answer is in it, about as long as the work's prompts."""
        words = self._words
        start = random.Random(f"{SEED} {number}").randrange(len(words))  # noqa: S311 - repeatable
        stretch = itertools.islice(itertools.cycle(words), start, start + self._work.prompt)
        text = self._text.tokenizer.decode(list(stretch))
        return self._text.encode(_ASK.format(text=text))

    @cached_property
    def _words(self) -> Sequence[int]:
        whole = "\n".join(passage.text for passage in read_passages())
        return self._text.tokenizer.encode(whole, add_special_tokens=False)


class SetupProcess:
    """A setup loaded in a process of its own; see `aipc.measure.tune.participants.LoadedSetup`."""

    def __init__(
        self,
        setup: Setup,
        folder: Path,
        prompts: TuningPrompts,
        energy: EnergyCounter | None,
    ) -> None:
        self.nbytes = _size(folder)
        self._prompts = prompts
        self._energy = energy
        options = {
            "artifact": str(folder),
            "runtime": setup.runtime,
            "device": setup.device.lower(),
            "properties": dict(setup.properties),
        }
        self._runner = ParticipantProcess(setup.runtime, sys.executable, _SCRIPT, options)
        try:
            self.load_s = self._runner.load().seconds
            cold = self._runner.run(prompts.take(1), _COLD_TOKENS)
        except BaseException:
            self._runner.close()
            raise
        self.cold_s = cold.times[0][0]

    def run(self, tokens: int) -> SetupRun:
        prompts = self._prompts.take()
        done, joules = drawn(self._energy, partial(self._runner.run, prompts, tokens))
        given = tokens * len(prompts)
        return SetupRun(
            statistics.median(times[0] for times in done.times),
            _token_s(done.times),
            given / done.seconds if len(prompts) > 1 else None,
            None if joules is None else joules / given,
        )

    def close(self) -> None:
        self._runner.close()


@dataclass
class ProcessBench:
    """See `aipc.measure.tune.participants.Bench`; ``devices`` are those that may be tried."""

    source: Source
    store: Store
    devices: Sequence[Device]
    work: Work
    progress: Progress
    notify: Notify
    wants_energy: bool = False
    _converted: list[tuple[float, float]] = field(default_factory=list)
    """(work, seconds) of each conversion."""
    _shared_prompts: TuningPrompts | None = None

    def objection(self, setup: Setup) -> str:
        needed = self._memory(setup)
        memory = read_memory()
        free = (1 - _KEPT_FREE) * memory.total
        device = next((one for one in self.devices if one.name == setup.device), None)
        if device is not None and device.memory_bytes is not None:
            free = device.memory_bytes
        if needed > free:
            return f"too large: it takes about {amount(int(needed))}, {amount(int(free))} are there"
        return ""

    def has_room(self, setup: Setup) -> bool:
        memory = read_memory()
        return memory.available - self._memory(setup) > _KEPT_FREE * memory.total

    def cost(self, setup: Setup) -> float:
        if setup.recipe is None or self._existing(setup) is not None:
            return 0.0
        rates = [work / seconds for work, seconds in self._converted]
        return self._conversion(setup) / (statistics.median(rates) if rates else _WEIGHTS_A_SECOND)

    def open(self, setup: Setup) -> SetupProcess:
        folder = self._folder(setup)
        energy = find_energy(setup.kind) if self.wants_energy else None
        return SetupProcess(setup, folder, self._prompts(folder), energy)

    def kl(self, setup: Setup) -> float:
        quality = measure_kl(
            self._folder(setup),
            runtime=setup.runtime,
            device=setup.device.lower(),
            properties={k: v for k, v in setup.properties.items() if k != "prompt_lookup"},
            store=self.store,
            progress=self.progress,
            notify=self.notify,
        )
        if quality.kl is None:
            raise MeasurementError(f"{setup.weights} could not be compared with the float model")
        return quality.kl.middle

    def tidy(self, kept: Setup | None) -> None:
        """Remove the artifacts that were made for this search, save that of ``kept``."""
        if isinstance(self.source, ArtifactSource):
            return
        self._passing.remove(self._key(kept) if kept and kept.recipe else "")

    @cached_property
    def _passing(self) -> PassingArtifacts:
        """What was not there before this search, or an earlier one that was killed."""
        return PassingArtifacts(self.source, self.store)

    @cached_property
    def weights(self) -> int:
        """How many the network has."""
        return count_parameters(self.source, self.store, self.progress)

    def _prompts(self, folder: Path) -> TuningPrompts:
        """The same for every artifact: they have one tokenizer."""
        if self._shared_prompts is None:
            self._shared_prompts = TuningPrompts(TextPipeline.read(folder), self.work)
        return self._shared_prompts

    def _folder(self, setup: Setup) -> Path:
        if isinstance(self.source, ArtifactSource):
            return self.source.path
        if self._existing(setup) is None:
            self._passing.add(self._key(setup))
        begun = time.monotonic()
        target = self._target(setup)
        made = prepare(
            self.source,
            setup.recipe,
            self.store,
            target=target,
            progress=self.progress,
            notify=self.notify,
        )
        if not made.reused:
            self._converted.append((self._conversion(setup), time.monotonic() - begun))
        return made.path

    def _existing(self, setup: Setup) -> Path | None:
        target = self._target(setup)
        recipe = setup.recipe or target.recipe
        return find_artifact(self.source, recipe, self.store, target)

    def _key(self, setup: Setup) -> str:
        """What the setup's artifact is called in the store."""
        target = self._target(setup)
        return artifact_key(self.source, setup.recipe or target.recipe, target)

    def _target(self, setup: Setup) -> Target:
        device = next(one for one in self.devices if one.name == setup.device)
        return target_for(device, setup.runtime)

    def _conversion(self, setup: Setup) -> float:
        """Work of one, in weights that are simply rounded."""
        calibrated = setup.recipe is not None and setup.recipe.is_calibrated
        return self.weights * (_CALIBRATED if calibrated else 1.0)

    def _memory(self, setup: Setup) -> float:
        if isinstance(self.source, ArtifactSource):
            return _LOADED * _size(self.source.path)
        weights = setup.recipe.weight_format if setup.recipe else "fp16"
        return _LOADED * self.weights * _BYTES_A_WEIGHT[weights]


def _token_s(times: Sequence[Sequence[float]]) -> float:
    """The mean of an answer, not the median: guessed tokens arrive several at a time."""
    return statistics.median((one[-1] - one[0]) / (len(one) - 1) for one in times)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
