"""One device tried through one runtime, in a process of its own.

The process speaks over its pipes (`aipc.child`): a task as JSON on a line; then what it does
({"stage": …}) and what it found ({"found": …, "value": …}) as it goes, so that a step that
crashes or hangs costs only itself and those after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from aipc.devices.counters.energy import EnergyCounter, find_energy
from aipc.devices.counters.watch import Seen, watch
from aipc.errors import AipcError, EngineError, PromptTooLong
from aipc.measure.prove.findings import (
    CANCELLED,
    LOADING,
    LONG,
    QUESTIONS,
    RELOADED,
    TrialTask,
)
from aipc.measure.prove.texts import ANSWER, LENGTHS, LONG_ANSWER, SPEED_PROMPT, ProofTexts
from aipc.models.store import Store
from aipc.progress import unheard
from aipc.records import read
from aipc.runtimes.base import Decoding, Engine, Generation
from aipc.runtimes.openvino.static_shape import LONGEST

_RUNS, _FEWEST_RUNS = 5, 3
_RUN_TOKENS = 32
_BEFORE_CANCEL = 4
_MANY = 256
_NOTHING: frozenset[int] = frozenset()

Tell = Callable[[dict[str, Any]], None]


class EngineTrial:
    """The steps on an engine that is loaded; each tells what it found by itself."""

    def __init__(
        self,
        engine: Engine,
        texts: ProofTexts,
        kind: str,
        until: float,
        tell: Tell,
    ) -> None:
        """``until`` is a moment of `time.monotonic`."""
        self._engine = engine
        self._texts = texts
        self._kind = kind
        self._until = until
        self._tell = tell
        self._token_s = 0.0
        self._prompt_token_s = 0.0

    def run(self, *, again: bool = False) -> None:
        """Every step that there is time for."""
        first = RELOADED if again else QUESTIONS
        self._step(first, 0.0, lambda: self._ask_questions(first, again=again))
        if again:
            return
        with watch(self._kind) as seen:
            started, busy = time.perf_counter(), time.process_time()
            *short, longest = LENGTHS
            for length in short:
                self._ask_after(length)
            cost = self._cost(_FEWEST_RUNS * SPEED_PROMPT, _FEWEST_RUNS * _RUN_TOKENS)
            self._step("speed", cost, self._time_runs)
            self._ask_after(longest)
            elapsed = time.perf_counter() - started
            self._found("process_cores", (time.process_time() - busy) / elapsed)
        self._tell_load(seen)
        self._step("a cancel", self._cost(64, 2 * ANSWER), self._cancel)
        self._step(LONG, self._cost(64, LONG_ANSWER), self._answer_at_length)

    def _ask_after(self, length: int) -> None:
        what = f"{length:,} tokens"
        if length + ANSWER > self._texts.context:
            self._tell({"cut": f"{what}: beyond the model's context"})
            return
        self._step(what, self._cost(length, ANSWER), lambda: self._ask_prompt(what, length))

    def _step(self, what: str, cost: float, work: Callable[[], None]) -> None:
        """``cost`` is what it will take, in seconds, by what was measured so far."""
        if time.monotonic() + cost > self._until:
            self._tell({"cut": what})
            return
        self._tell({"stage": what, "cost": cost})
        try:
            work()
        except PromptTooLong:
            self._tell({"cut": f"{what}: longer than the device takes"})

    def _cost(self, prompt: int, tokens: int) -> float:
        return prompt * self._prompt_token_s + tokens * self._token_s

    def _ask_questions(self, what: str, *, again: bool) -> None:
        for number, question in enumerate(self._texts.questions[: 1 if again else None]):
            started = time.perf_counter()
            times, tokens = timed(self._start(question, ANSWER, self._texts.stop_ids), started)
            if number == 0:
                self._found("cold_s", times[0])
            self._answered(what, question, tokens)

    def _ask_prompt(self, what: str, length: int) -> None:
        prompt = self._texts.prompt(length)
        started = time.perf_counter()
        times, tokens = timed(self._start(prompt, ANSWER), started)
        self._prompt_token_s = times[0] / length
        self._token_s = (times[-1] - times[0]) / max(len(times) - 1, 1)
        self._answered(what, prompt, tokens)

    def _time_runs(self) -> None:
        energy = find_energy(self._kind)
        before, begun = _joules(energy), time.perf_counter()
        tokens = 0
        for number in range(_RUNS):
            prompt = self._texts.stretch(number)
            started = time.perf_counter()
            times, _ = timed(self._start(prompt, _RUN_TOKENS), started)
            token_s = (times[-1] - times[0]) / (len(times) - 1)
            tokens += len(times)
            run = {"prompt": len(prompt), "first_s": times[0], "token_s": token_s}
            self._tell({"run": run})
            if number + 1 >= _FEWEST_RUNS and time.monotonic() > self._until:
                break
        after, elapsed = _joules(energy), time.perf_counter() - begun
        if energy is not None and before is not None and after is not None:
            self._found("energy_source", energy.name)
            self._found("joules_per_token", (after - before) / tokens)
            self._found("watts", (after - before) / elapsed)

    def _tell_load(self, seen: Seen) -> None:
        if seen.busy_share is not None:
            self._found("busy_share", seen.busy_share)

    def _cancel(self) -> None:
        generation = self._start(self._texts.open_question, _MANY)
        for _ in range(_BEFORE_CANCEL):
            next(generation, None)
        started = time.perf_counter()
        generation.cancel()
        for _ in generation:
            pass
        self._found("cancel_s", time.perf_counter() - started)
        question = self._texts.questions[0]
        times, tokens = timed(self._start(question, ANSWER, self._texts.stop_ids), started)
        self._found("free_s", times[0])
        self._answered(CANCELLED, question, tokens)

    def _answer_at_length(self) -> None:
        from aipc.measure.quality.degenerate import check_answer

        prompt = self._texts.open_question
        tokens = tuple(self._start(prompt, LONG_ANSWER, self._texts.stop_ids))
        text = self._texts.decode([one for one in tokens if one not in self._texts.stop_ids])
        check = check_answer("", text, tokens)
        found = {"repeated": check.repeated, "loops": check.loops, "odd": check.odd}
        self._found("long_answer", {"tokens": len(tokens), **found})
        self._answered(LONG, prompt, tokens)

    def _start(
        self, prompt: Sequence[int], tokens: int, stop_ids: frozenset[int] = _NOTHING
    ) -> Generation:
        return self._engine.start(prompt, Decoding(tokens), stop_ids)

    def _answered(self, what: str, prompt: Sequence[int], tokens: Sequence[int]) -> None:
        answer = {"what": what, "prompt": list(prompt), "tokens": list(tokens)}
        self._tell({"answer": answer})

    def _found(self, name: str, value: Any) -> None:
        self._tell({"found": name, "value": value})


def timed(generation: Iterator[int], started: float) -> tuple[list[float], tuple[int, ...]]:
    """(seconds to each token, the tokens), at least one.

    Raises:
        EngineError: it gave none.
    """
    times, tokens = [], []
    for token in generation:
        times.append(time.perf_counter() - started)
        tokens.append(token)
    if not tokens:
        raise EngineError("the engine gave no token")
    return times, tuple(tokens)


class ScratchStore(Store):
    """The user's models, and nothing that was compiled, tuned or probed before."""

    def __init__(self, home: Path, scratch: Path) -> None:
        """``home`` is the user's own, ``scratch`` a folder to be removed afterwards."""
        super().__init__(home)
        self.blobs = scratch / "blobs"
        self.tuned = scratch / "tuned"
        self.probed = scratch / "probed"
        self.running = scratch / "running"


def open_engine(task: TrialTask, tell: Tell) -> tuple[Engine, ProofTexts]:
    """As a session would, but for the canary; tells what is known of it.

    Raises:
        AipcError: it can't be opened.
    """
    from aipc.session.place import SessionOptions
    from aipc.session.prepare import prepare_session

    wanted = SessionOptions(
        task.device.lower(), task.runtime, emulate=task.emulate, canary=False, probe=False
    )
    store = ScratchStore(Path(task.home), Path(task.scratch))
    prepared = prepare_session(task.folder, wanted, store=store, notify=unheard)
    placement, texts = prepared.placement, ProofTexts.read(prepared.folder)
    tell({"found": "properties", "value": dict(placement.plan.properties)})
    if placement.kind == "npu":
        longest = min(LONGEST, texts.context)
        tell({"found": "longest_prompt", "value": longest})
    started = time.perf_counter()
    engine = placement.open()
    tell({"found": "load_s", "value": time.perf_counter() - started})
    nodes = engine.facts.get("placement")
    if nodes is not None:
        tell({"found": "nodes", "value": dict(nodes)})
    return engine, texts


def _joules(counter: EnergyCounter | None) -> float | None:
    return None if counter is None else counter.joules()


def main() -> None:
    """Do one task."""
    from aipc import telemetry
    from aipc.child import one_task

    telemetry.switch_off()
    told, tell = one_task()
    task = read(TrialTask, told)
    until = time.monotonic() + task.seconds
    try:
        tell({"stage": LOADING})
        engine, texts = open_engine(task, tell)
        EngineTrial(engine, texts, task.kind, until, tell).run(again=task.again)
    except AipcError as error:
        tell({"error": type(error).__name__, "what": str(error)})
    tell({"done": True})  # and is ended: closing may take long, and nobody waits for it


if __name__ == "__main__":
    main()
