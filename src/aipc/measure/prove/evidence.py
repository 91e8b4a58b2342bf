"""What was found of a device, out of what its processes told."""

from __future__ import annotations

from dataclasses import replace

from aipc.choose import Artifact
from aipc.choose.runtime_device import RuntimeDevice
from aipc.convert.recipe import recorded_recipe
from aipc.devices import Device
from aipc.errors import UsageError
from aipc.measure.prove.findings import CANCELLED, QUESTIONS, RELOADED, TrialAnswer, TrialFindings
from aipc.measure.prove.machine import impersonal
from aipc.measure.prove.processes import Told
from aipc.measure.prove.record import (
    EMULATED,
    MEASURED,
    SOFTWARE,
    DeviceProof,
    FoundCancel,
    FoundEnergy,
    FoundPlacement,
    FoundSpeed,
    StartTimes,
    TokenAgreement,
)
from aipc.measure.statistics import Interval, of_median

_DIGITS = 6


def stated(
    place: RuntimeDevice, artifact: Artifact | None, *, emulate: bool = False
) -> DeviceProof:
    """What is known of a device before it is tried."""
    device = place.device
    return DeviceProof(
        runtime=place.runtime,
        device=device.name,
        kind=device.kind,
        name=impersonal(device.full_name),
        driver=None if device.driver is None else impersonal(device.driver),
        memory_bytes=device.memory_bytes,
        precisions=device.precisions,
        claim=EMULATED if emulate else _claim(device),
        weights="none" if artifact is None else _weights(artifact),
    )


def device_proof(plan: DeviceProof, trial: Told, again: Told | None, judged: Told) -> DeviceProof:
    """``plan`` filled in; ``again`` is the process that loaded the model anew."""
    first = trial.findings
    second = again.findings if again else TrialFindings()
    answers = (*first.answers, *second.answers)
    agreements = _in_order(judged.agreements, answers)
    reason = f" ({judged.failure.how})" if judged.failure else ""
    judged_ones = {one.what for one in agreements}
    unjudged = dict.fromkeys(one.what for one in answers if one.what not in judged_ones)
    cut = (*first.cut, *second.cut, *(f"judging {what}{reason}" for what in unjudged))
    failure = trial.failure or (again.failure if again else None)
    return replace(
        plan,
        properties=first.properties or {},
        longest_prompt=first.longest_prompt,
        starts=_starts(first, second),
        placement=_placement(plan, first),
        agreements=agreements,
        speed=_speed(first),
        energy=_energy(first),
        long_answer=first.long_answer,
        cancel=_cancel(first),
        same_after_reload=_is_same(first.answers, second.answers, RELOADED),
        failure=failure,
        cut=cut,
    )


def _in_order(
    agreements: tuple[TokenAgreement, ...], answers: tuple[TrialAnswer, ...]
) -> tuple[TokenAgreement, ...]:
    """As the questions were asked; the judge took the shortest first."""
    asked = [one.what for one in answers]
    return tuple(sorted(agreements, key=lambda one: asked.index(one.what)))


def _claim(device: Device) -> str:
    return SOFTWARE if device.is_software else MEASURED


def _weights(artifact: Artifact) -> str:
    recipe = artifact.facts.get("recipe")
    try:
        return recorded_recipe(recipe).tag if recipe else artifact.weights or "as they are"
    except (UsageError, TypeError):
        return "as they are"


def _starts(first: TrialFindings, second: TrialFindings) -> StartTimes | None:
    if first.load_s is None:
        return None
    return StartTimes(
        round(first.load_s, _DIGITS),
        _rounded(first.cold_s),
        _rounded(second.load_s),
        _rounded(second.cold_s),
    )


def _placement(plan: DeviceProof, found: TrialFindings) -> FoundPlacement | None:
    if found.process_cores is None and not found.nodes:
        return None
    is_told = plan.kind != "cpu" and plan.claim == MEASURED  # else the counter is the CPU's
    return FoundPlacement(
        found.nodes or {},
        _rounded(found.busy_share) if is_told else None,
        None if found.process_cores is None else round(found.process_cores, 2),
    )


def _speed(found: TrialFindings) -> FoundSpeed | None:
    if not found.runs:
        return None
    return FoundSpeed(
        found.runs[0].prompt,
        len(found.runs),
        _tidy(of_median([one.prompt / one.first_s for one in found.runs])),
        _tidy(of_median([one.token_s for one in found.runs])),
    )


def _energy(found: TrialFindings) -> FoundEnergy | None:
    if found.energy_source is None or found.joules_per_token is None or found.watts is None:
        return None
    return FoundEnergy(found.energy_source, round(found.joules_per_token, 4), round(found.watts, 2))


def _cancel(found: TrialFindings) -> FoundCancel | None:
    same = _is_same(found.answers, found.answers, CANCELLED)
    if found.cancel_s is None or found.free_s is None or same is None:
        return None
    return FoundCancel(round(found.cancel_s, _DIGITS), round(found.free_s, _DIGITS), same)


def _is_same(
    before: tuple[TrialAnswer, ...], after: tuple[TrialAnswer, ...], what: str
) -> bool | None:
    """Whether the first question had the same answer both times; None: it was not asked twice."""
    first = next((one.tokens for one in before if one.what == QUESTIONS), None)
    later = next((one.tokens for one in after if one.what == what), None)
    return None if first is None or later is None else first == later


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _tidy(interval: Interval) -> Interval:
    low, middle, high, confidence = (
        round(one, _DIGITS)
        for one in (interval.low, interval.middle, interval.high, interval.confidence)
    )
    return Interval(low, middle, high, confidence)
