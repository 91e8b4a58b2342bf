"""What is wrong with a device, by what was found of it: each fault named in words."""

from __future__ import annotations

from collections.abc import Iterator

from aipc import units
from aipc.choose.canary import ENOUGH
from aipc.choose.shortfall import MOST_SHORT
from aipc.errors import NotPlaced
from aipc.measure.prove.findings import LONG
from aipc.measure.prove.processes import CRASHED, TOO_LONG
from aipc.measure.prove.record import (
    FAILED,
    MEASURED,
    NOT_PLACED,
    NOT_TRIED,
    SLOW,
    TIMED_OUT,
    WRONG,
    DeviceFault,
    DeviceProof,
    FoundSpeed,
    LongAnswer,
    TokenAgreement,
    TrialFailure,
)
from aipc.measure.quality.degenerate import MOST_ODD
from aipc.measure.statistics import Interval

LEAST_BUSY = 0.05
"""Share of the time that a device's counter has to show it busy while it answers."""
CANCEL_S = 5.0
"""In which the device has to be free of a cancelled answer, beside the time for a question."""
SLOWER = 1.15
"""Times as long as on the CPU, beyond both intervals."""
_CPU_PROVIDER = "CPUExecutionProvider"
_ORDER = (FAILED, TIMED_OUT, WRONG, NOT_PLACED, NOT_TRIED, SLOW)


def find_faults(found: DeviceProof, cpu: DeviceProof | None) -> tuple[DeviceFault, ...]:
    """The worst first; ``cpu`` is the fastest way over the CPU, None where none was measured."""
    faults = [
        *_failure(found),
        *_unjudged(found),
        *(DeviceFault(WRONG, words) for words in _wrong(found)),
        *(DeviceFault(NOT_PLACED, words) for words in _not_placed(found)),
        *(DeviceFault(SLOW, words) for words in _slow(found, cpu)),
    ]
    return tuple(sorted(faults, key=lambda fault: _ORDER.index(fault.kind)))


def _failure(found: DeviceProof) -> Iterator[DeviceFault]:
    failure = found.failure
    if failure is None:
        return
    if failure.how == NotPlaced.__name__:
        yield DeviceFault(NOT_PLACED, "the runtime put the model on the CPU and said so at loading")
    elif failure.how == TOO_LONG:
        words = f"its time was over while it was at: {failure.stage}"
        yield DeviceFault(
            TIMED_OUT, f"{words}; more --minutes would tell a slow device from a hang"
        )
    else:
        yield DeviceFault(FAILED, _how(failure))


def _how(failure: TrialFailure) -> str:
    if failure.how == CRASHED:
        return f"its process crashed (status {failure.status}) at: {failure.stage}"
    return f"{failure.how} at: {failure.stage}"


def _unjudged(found: DeviceProof) -> Iterator[DeviceFault]:
    if found.failure is None and not found.agreements:
        yield DeviceFault(NOT_TRIED, "none of its answers was judged, so it may be wrong")


def _wrong(found: DeviceProof) -> Iterator[str]:
    yield from map(_disagreement, filter(_disagrees, found.agreements))
    if not any(one.what == LONG for one in found.agreements):  # else it is the model's own way
        yield from _flaws(found.long_answer)
    if found.cancel is not None:
        cold_s = (found.starts and found.starts.cold_token_s) or 0.0
        if found.cancel.free_s > CANCEL_S + 2 * cold_s:
            yield (
                f"after a cancel the next answer began only {units.seconds(found.cancel.free_s)} "
                "later"
            )


def _flaws(answer: LongAnswer | None) -> Iterator[str]:
    if answer is not None and answer.odd > MOST_ODD:
        yield f"a long answer is no text ({answer.odd:.0%} odd characters)"
    if answer is not None and answer.loops:
        yield "a long answer ends in a loop"


def _disagrees(one: TokenAgreement) -> bool:
    return one.agreed < ENOUGH * one.tokens or one.shortfall > MOST_SHORT


def _disagreement(one: TokenAgreement) -> str:
    where = f"after a prompt of {one.what}" if one.what.endswith("tokens") else f"in {one.what}"
    return (
        f"{where} the CPU would have chosen {one.agreed} of its {one.tokens} tokens "
        f"({units.nats(one.shortfall)} nats short of the likeliest)"
    )


def _not_placed(found: DeviceProof) -> Iterator[str]:
    placement = found.placement
    if placement is None or found.kind == "cpu" or found.claim != MEASURED:
        return
    if placement.nodes:
        if set(placement.nodes) == {_CPU_PROVIDER}:
            yield f"all of {sum(placement.nodes.values())} operators were computed on the CPU"
    elif placement.busy_share is not None and placement.busy_share < LEAST_BUSY:
        cores = placement.process_cores
        taken = "" if cores is None else f", and the process kept {cores:.1f} cores busy"
        yield f"its counter shows it {placement.busy_share:.1%} busy while it answered{taken}"


def _slow(found: DeviceProof, cpu: DeviceProof | None) -> Iterator[str]:
    if found.kind == "cpu" or found.claim != MEASURED:
        return
    if cpu is None or found.speed is None or cpu.speed is None:
        return
    ours, theirs = found.speed, cpu.speed
    for what, own, other in (
        ("a token takes", ours.token_s, theirs.token_s),
        ("a prompt takes", _token_of_prompt(ours), _token_of_prompt(theirs)),
    ):
        if own.low > SLOWER * other.high:
            yield (
                f"{what} {own.middle / other.middle:.1f} times as long as on the {cpu.place} "
                f"({units.milliseconds(own.middle)} a token against "
                f"{units.milliseconds(other.middle)})"
            )


def _token_of_prompt(speed: FoundSpeed) -> Interval:
    """Seconds that a token of the prompt takes."""
    rate = speed.prompt_per_s
    return Interval(1 / rate.high, 1 / rate.middle, 1 / rate.low, rate.confidence)
