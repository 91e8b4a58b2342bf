"""The search for the best setup: short probes of many, whole runs of the few that are left.

Settings are varied at the default weights first, which costs no conversion; then weights at the
best settings.  Whatever a probe shows to be clearly slower than the best so far goes at once
(successive halving, Jamieson and Talwalkar 2016, with a margin for noise in place of a fixed
share).  The finalists run in turn, round after round, so that a machine that slows down slows
all of them down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from aipc.choose.runtime_device import RuntimeDevice
from aipc.choose.setup import Setup
from aipc.errors import AipcError, MeasurementError
from aipc.measure.tune.candidates import (
    Candidate,
    additions,
    default_candidate,
    recipes,
    variants,
)
from aipc.measure.tune.goal import NO_SLOWER, score
from aipc.measure.tune.participants import Bench, SetupParticipant
from aipc.measure.tune.verdict import NO_TIME, Skipped, Terms, TuningOutcome, decide
from aipc.progress import Notify

PROBE_TOKENS = 16
MARGIN = 0.25
"""A probe this much worse than the best, twice, can't be the best's."""
FINALISTS = 3
ROUNDS = 3


@dataclass
class SetupSearch:
    """One search; `run` it once.  ``notify`` is given a line for each thing that was done."""

    terms: Terms
    bench: Bench
    notify: Notify
    clock: Callable[[], float] = time.monotonic
    _participants: list[SetupParticipant] = field(default_factory=list)
    _skipped: list[Skipped] = field(default_factory=list)

    def run(self, devices: Sequence[RuntimeDevice]) -> TuningOutcome:
        """Search among ``devices``, the default one first.

        Raises:
            MeasurementError: nothing could be measured.
        """
        self._started = self.clock()
        try:
            self._explore(devices)
            finalists = self._finalists()
            self._finals(finalists)
            return decide(
                self.terms,
                self._participants,
                finalists,
                tuple(self._skipped),
                self.clock() - self._started,
            )
        finally:
            for participant in self._participants:
                participant.close()

    def _explore(self, devices: Sequence[RuntimeDevice]) -> None:
        for one in devices:
            self._try(default_candidate(one))
        if not self._participants:
            reasons = "; ".join(skipped.why for skipped in self._skipped)
            raise MeasurementError(f"nothing could be measured: {reasons or 'no device'}")
        for one in self._hopeful(devices):
            self._try_all(additions(one, one.default(), self.terms.work.kind))
            self._try_all(variants(one, one.default().recipe))
        bounded, quality = self.terms.max_kl is not None, self.terms.needs_kl
        for one in self._hopeful(devices):
            best = self._best_at(one).setup
            others = recipes(one, is_bounded=bounded, for_quality=quality)
            self._try_all(_with_settings(other, best) for other in others)
        for one in self._hopeful(devices):
            self._try_all(additions(one, self._best_at(one).setup, self.terms.work.kind))

    def _try_all(self, candidates: Iterable[Candidate]) -> None:
        for candidate in candidates:
            self._try(candidate)

    def _try(self, candidate: Candidate) -> None:
        setup = candidate.setup
        known = [one.setup for one in self._participants] + [one.setup for one in self._skipped]
        if setup in known:
            return
        why = self.bench.objection(setup)
        if why or self._is_too_late(setup):
            self._skip(setup, why or NO_TIME)
            return
        participant = SetupParticipant(candidate)
        self.notify(f"{setup}: {candidate.why}")
        try:
            self._make_room(setup)
            self._probe(participant)
            self._participants.append(participant)
            if participant not in self._kept():
                self._probe_again(participant)
        except AipcError as error:
            participant.close()
            self._participants = [one for one in self._participants if one is not participant]
            self._skip(setup, str(error))
            return
        except BaseException:
            participant.close()
            raise
        self._drop_hopeless()
        self._tell_probe(participant)

    def _probe(self, participant: SetupParticipant) -> None:
        participant.probe(self.bench, min(PROBE_TOKENS, self.terms.work.tokens))

    def _probe_again(self, participant: SetupParticipant) -> None:
        """Beside the best so far: a moment's disturbance should not end anyone's chances."""
        best = self._kept()[0]
        for one in (best, participant):
            if one.loaded is not None:
                self._probe(one)

    def _is_too_late(self, setup: Setup) -> bool:
        """The default choice is always measured; the others only with time for the finals left."""
        if not self._participants:
            return False
        opening = max(self._opening_s(participant) for participant in self._participants)
        return self.bench.cost(setup) + opening + self._finals_s() > self._left()

    def _opening_s(self, participant: SetupParticipant) -> float:
        """To load it again and probe it."""
        figures = participant.figures(self.terms.work)
        probe = figures.first_token_s + PROBE_TOKENS * figures.token_s
        return probe + (participant.load_s or 0.0) + (participant.cold_s or 0.0)

    def _finals_s(self) -> float:
        whole = max(participant.answer_s(self.terms.work) for participant in self._kept())
        return whole * (FINALISTS + 1) * ROUNDS

    def _left(self) -> float:
        return self.terms.budget_s - (self.clock() - self._started)

    def _make_room(self, setup: Setup) -> None:
        """Unload the slowest of those kept, until there is memory."""
        loaded = [participant for participant in self._participants if participant.loaded]
        for participant in sorted(loaded, key=self._speed, reverse=True):
            if self.bench.has_room(setup):
                return
            participant.close()

    def _drop_hopeless(self) -> None:
        kept = self._kept()
        for participant in self._participants:
            if participant not in kept:
                participant.close()

    def _kept(self) -> list[SetupParticipant]:
        """Those that may still win, fastest first; the default choice is always compared."""
        default = self._participants[0]
        if self.terms.goal == "quality":
            limit = self._speed(default) * NO_SLOWER
        else:
            limit = min(map(self._speed, self._participants))
        hopeful = [one for one in self._participants if self._speed(one) <= limit * (1 + MARGIN)]
        return sorted(hopeful, key=self._speed) + ([] if default in hopeful else [default])

    def _hopeful(self, devices: Sequence[RuntimeDevice]) -> list[RuntimeDevice]:
        setups = [participant.setup for participant in self._kept()]
        return [
            one
            for one in devices
            if any((s.runtime, s.device) == (one.runtime, one.device.name) for s in setups)
        ]

    def _best_at(self, one: RuntimeDevice) -> SetupParticipant:
        here = (one.runtime, one.device.name)
        own = [e for e in self._participants if (e.setup.runtime, e.setup.device) == here]
        return min(own, key=self._speed)

    def _finalists(self) -> list[SetupParticipant]:
        """At most `FINALISTS`, and the default choice beside them."""
        kept, default = self._kept(), self._participants[0]
        chosen = self._within_quality(kept) if self.terms.needs_kl else kept[:FINALISTS]
        finalists = chosen if default in chosen else [*chosen, default]
        for participant in self._participants:
            if participant not in finalists:
                participant.close()
        return finalists

    def _within_quality(self, kept: Sequence[SetupParticipant]) -> list[SetupParticipant]:
        """The best among those whose divergence is small enough; it is measured here."""
        for participant in self._participants:
            participant.close()  # the reference is large
        allowed: list[SetupParticipant] = []
        longest = 0.0
        for participant in self._by_interest(kept):
            if self.terms.goal != "quality" and len(allowed) == FINALISTS:
                break
            if longest and longest + self._finals_s() > self._left():
                self._skip(participant.setup, NO_TIME)
                continue
            begun = self.clock()
            if self._is_good_enough(participant):
                allowed.append(participant)
            longest = max(longest, self.clock() - begun)
        if self.terms.goal == "quality":
            allowed.sort(key=lambda one: one.kl or 0.0)
        return allowed[:FINALISTS]

    def _by_interest(self, kept: Sequence[SetupParticipant]) -> list[SetupParticipant]:
        """For quality all are compared with the default choice, so it comes first."""
        default = self._participants[0]
        if self.terms.goal != "quality":
            return list(kept)
        return [default, *(participant for participant in kept if participant is not default)]

    def _is_good_enough(self, participant: SetupParticipant) -> bool:
        participant.kl = self.bench.kl(participant.setup)
        self.notify(f"  {participant.setup}: {participant.kl:.4f} nats from the float model")
        bound = self.terms.max_kl
        if bound is None or participant.kl <= bound:
            return True
        self._skip(
            participant.setup, f"its divergence {participant.kl:.4f} is above --max-kl {bound:g}"
        )
        return False

    def _finals(self, finalists: Sequence[SetupParticipant]) -> None:
        """At least one round; the one in front changes from round to round."""
        for turn in range(ROUNDS):
            begun = self.clock()
            for participant in finalists if turn % 2 == 0 else list(reversed(finalists)):
                self._make_room_for_final(participant, finalists)
                participant.runs.append(participant.open(self.bench).run(self.terms.work.tokens))
            if self.clock() - begun > self._left():
                break

    def _make_room_for_final(
        self, participant: SetupParticipant, finalists: Sequence[SetupParticipant]
    ) -> None:
        for other in finalists:
            if participant.loaded or self.bench.has_room(participant.setup):
                return
            other.close()

    def _speed(self, participant: SetupParticipant) -> float:
        """What probes are ranked by; quality can't be seen in them."""
        goal = "latency" if self.terms.goal == "quality" else self.terms.goal
        return score(goal, participant.best_probe(self.terms.work), self.terms.work)

    def _skip(self, setup: Setup, why: str) -> None:
        self._skipped.append(Skipped(setup, why))
        if why != NO_TIME:
            self.notify(f"  {setup}: {why}")

    def _tell_probe(self, participant: SetupParticipant) -> None:
        figures = participant.best_probe(self.terms.work)
        dropped = "" if participant in self._kept() else "; dropped"
        self.notify(
            f"  first token {figures.first_token_s:.2f} s, then "
            f"{figures.token_s * 1000:.1f} ms a token{dropped}"
        )


def _with_settings(candidate: Candidate, best: Setup) -> Candidate:
    return replace(candidate, setup=replace(candidate.setup, properties=best.properties))
