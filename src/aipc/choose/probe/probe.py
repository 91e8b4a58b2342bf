"""Which device and runtime is fastest for a model of this shape, found out in seconds.

Stacks of the model's shape (`aipc.convert.stack`) are written and timed on every candidate, each in
a process of its own that is ended when its time is over.  The result is kept for as long as
nothing changes that it depends on.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aipc import disk
from aipc.child import Child, ChildEnded, safe_environment
from aipc.choose.probe.prediction import Prediction, StackSizes, predict, stack_sizes
from aipc.choose.probe.times import SHORT, SHORTS, DeviceTimes, StackTask, prompts
from aipc.choose.runtime_device import RuntimeDevice
from aipc.choose.setup import Setup
from aipc.convert.network import Network
from aipc.convert.plans.decoder_plan import DecoderPlan
from aipc.convert.stack import next_tokens, write_stack
from aipc.devices import kind_of
from aipc.devices.system.cpu import others_s, read_cpu
from aipc.records import plain, read

REVISION = 1
"""Of what is measured: one more when earlier results no longer count."""
LIMIT_S = 10.0
"""For all candidates together."""
BUSY = 0.25
"""From this share on, other programs may have decided the result."""
BUSY_LASTS_S = 3600.0
"""How long such a result counts."""
AGREED = 0.5
"""Share of the short prompts after which a runtime has to give the token that is right."""
_COMMAND = (sys.executable, "-m", "aipc.choose.probe.times")


@dataclass(frozen=True)
class PlannedSetup:
    """A device through a runtime, and how a model is converted and run there."""

    setup: Setup
    plan: DecoderPlan


@dataclass(frozen=True)
class Probed:
    """What came of one candidate.

    Without a prediction it is ``unfit`` (it failed, hung or answered wrongly) or else was still
    compiling when its time was over, which says nothing against it; ``why`` tells.
    """

    runtime: str
    device: str
    prediction: Prediction | None = None
    unfit: bool = False
    why: str = ""


@dataclass(frozen=True)
class ProbeResult:
    """Of every candidate, in the documented order."""

    seconds: float
    probed: tuple[Probed, ...]
    others: float = 0.0
    """Share of the processor that other programs took meanwhile."""
    when: float = 0.0
    """Seconds since 1970."""

    @property
    def is_quiet(self) -> bool:
        return self.others < BUSY

    def is_current(self, now: float) -> bool:
        """Whether it still counts: for good, if the machine was quiet."""
        return self.is_quiet or 0 <= now - self.when < BUSY_LASTS_S


def shape(network: Network) -> dict[str, Any]:
    """All of a network that its speed depends on, ready for JSON: two models may share it."""
    names = ("hidden", "intermediate", "tied")
    sizes = {name: getattr(network, name) for name in names}
    attentions = Counter(
        (one.heads, one.kv_heads, one.head_dim, one.window) for one in network.attentions
    )
    return {
        **sizes,
        "vocabulary": network.embedding.rows,
        "layers": [[*one, count] for one, count in attentions.items()],
    }


def identity(one: RuntimeDevice, setup: Setup) -> dict[str, Any]:
    """What makes a candidate another one, ready for JSON."""
    return {**asdict(setup), "driver": one.device.driver, "name": one.device.full_name}


@dataclass(frozen=True)
class _Failure:
    why: str
    unfit: bool


class Probe:
    """Times candidates in the folder ``scratch``, in which nothing is left."""

    def __init__(
        self,
        scratch: Path,
        limit_s: float = LIMIT_S,
        command: Sequence[str] = _COMMAND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scratch = scratch
        self._limit_s = limit_s
        self._command = command
        self._clock = clock

    def run(self, candidates: Sequence[PlannedSetup]) -> ProbeResult:
        """Time all; what fails says why in the result.

        Raises:
            OSError: the disk is full.
        """
        started, busy = self._clock(), others_s()
        probed: list[Probed] = []
        answers: list[tuple[int, ...]] = []
        self._scratch.mkdir(parents=True, exist_ok=True)
        for number, candidate in enumerate(candidates):
            left = self._limit_s - (self._clock() - started)
            share = 1.5 / (len(candidates) - number + 0.5)  # the first may take more than its part
            outcome, answer = self._time(candidate, max(left * share, 0.0))
            probed.append(outcome)
            answers.append(answer)
        seconds = self._clock() - started
        others = (others_s() - busy) / (seconds * read_cpu().usable_threads)
        judged = _judged(candidates, probed, answers)
        return ProbeResult(seconds, tuple(judged), others, time.time())

    def _time(self, candidate: PlannedSetup, limit_s: float) -> tuple[Probed, tuple[int, ...]]:
        setup, sizes = candidate.setup, stack_sizes(candidate.plan.network)
        unmeasured = Probed(setup.runtime, setup.device)
        until = self._clock() + limit_s
        with disk.scratch(parent=self._scratch) as folder:
            stacks = _write(candidate.plan, sizes, folder)
            nbytes = sum(file.stat().st_size for file in Path(stacks[1]).iterdir())
            task = StackTask(
                setup.runtime, setup.device, setup.properties, stacks, sizes.small.rows
            )
            found = self._ask(task, until)
        if isinstance(found, DeviceTimes):
            prediction = predict(sizes, found, nbytes, candidate.plan.nbytes)
            return replace(unmeasured, prediction=prediction), found.answers
        return replace(unmeasured, unfit=found.unfit, why=found.why), ()

    def _ask(self, task: StackTask, until: float) -> DeviceTimes | _Failure:
        child, stage = Child(self._command, env=safe_environment()), "loading"
        try:
            message = child.ask(plain(task), max(until - self._clock(), 0.0))
            while "stage" in message:
                stage = message["stage"]
                message = child.answer(max(until - self._clock(), 0.0))
        except ChildEnded as ended:
            return _failure(ended, stage, kind_of(task.device))
        finally:
            child.end()
        if "error" in message:
            return _Failure(f"it failed: {message['error']}", unfit=True)
        return read(DeviceTimes, message["times"])


def _failure(ended: ChildEnded, stage: str, kind: str) -> _Failure:
    if ended.status is not None:
        return _Failure(f"it crashed ({stage}, status {ended.status})", unfit=True)
    if stage == "loading" and kind != "cpu":  # whose compilers take minutes, once
        return _Failure("it was still compiling when its time was over", unfit=False)
    return _Failure(f"it was still {stage} when its time was over", unfit=True)


def _write(plan: DecoderPlan, sizes: StackSizes, folder: Path) -> tuple[str, ...]:
    """The folders of the small, the large and the wide stack."""
    written = []
    for name, size in (("small", sizes.small), ("large", sizes.large), ("wide", sizes.wide)):
        (folder / name).mkdir()
        write_stack(plan, size, folder / name)
        written.append(str(folder / name))
    return tuple(written)


def _judged(
    candidates: Sequence[PlannedSetup],
    probed: Sequence[Probed],
    answers: Sequence[tuple[int, ...]],
) -> Iterator[Probed]:
    """Where two answer differently, the reference tells which of them is wrong."""
    right = {answer for answer in answers if answer}
    if len(right) < 2:
        yield from probed
        return
    for candidate, outcome, answer in zip(candidates, probed, answers, strict=True):
        sizes = stack_sizes(candidate.plan.network)
        asked = prompts(sizes.small.rows, SHORT, SHORTS)
        expected = next_tokens(candidate.plan, sizes.wide, asked) if answer else ()
        agreed = sum(one == other for one, other in zip(answer, expected, strict=True))
        if agreed < AGREED * len(answer):
            why = f"it answers wrongly: {agreed} of {len(answer)} tokens are right"
            yield Probed(outcome.runtime, outcome.device, None, unfit=True, why=why)
        else:
            yield outcome
