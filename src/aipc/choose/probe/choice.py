"""The choice that a probe's predictions lead to, for one kind of work."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aipc.choose.probe.prediction import Prediction
from aipc.choose.probe.probe import Probed, ProbeResult
from aipc.choose.probe.work import KindOfWork
from aipc.choose.setup import ProbedChoice
from aipc.runtimes.registry import RUNTIMES

NOISE = 0.05
"""Two whose predictions differ by less are alike: then the documented order decides."""
_GB = 1e9


def choose_probed(result: ProbeResult, work: KindOfWork, available: int) -> ProbedChoice | None:
    """The candidate with the least predicted time for ``work`` of those that can do it.

    ``available`` is the memory that is free, in bytes.  An accelerator that could not be measured
    in time keeps its place in the documented order: it comes before those after it, not before a
    faster one that was measured.  None where nothing was measured, or nothing has room.
    """
    objections = [_objection(one, available) for one in result.probed]
    able = [one for one, against in zip(result.probed, objections, strict=True) if not against]
    taken = _taken(able, work)
    if taken is None:
        return None
    reasons = [
        f"{_name(one)}: {against or _reason(one, work)}"
        for one, against in zip(result.probed, objections, strict=True)
    ]
    first = result.probed.index(taken)
    why = (reasons[first], *reasons[:first], *reasons[first + 1 :])
    return ProbedChoice(taken.runtime, taken.device, _summary(taken, result.probed, work), why)


def none_fit(result: ProbeResult, available: int) -> str:
    """What to tell where `choose_probed` finds nothing."""
    reasons = (f"{_name(one)}: {_objection(one, available) or one.why}" for one in result.probed)
    return f"nothing was found fit, so the documented order decides ({'; '.join(reasons)})"


def _taken(able: Sequence[Probed], work: KindOfWork) -> Probed | None:
    limit = min((_seconds(one, work) for one in able if one.prediction), default=None)
    if limit is None:
        return None
    return next(
        one for one in able if not one.prediction or _seconds(one, work) <= limit * (1 + NOISE)
    )


def _seconds(one: Probed, work: KindOfWork) -> float:
    """Infinite where nothing was measured."""
    return one.prediction.seconds(work) if one.prediction else math.inf


def _objection(one: Probed, available: int) -> str:
    if one.unfit:
        return f"passed over, {one.why}"
    if one.prediction and one.prediction.memory > available:
        takes, has = one.prediction.memory / _GB, available / _GB
        return f"passed over, it takes {takes:.1f} GB of memory, and {has:.1f} GB are free"
    return ""


def _reason(one: Probed, work: KindOfWork) -> str:
    if one.prediction is None:
        return f"not measured, {one.why}; `aipc tune` takes the time for it"
    return f"predicted from some of its blocks: {_figures(one.prediction, work)}"


def _figures(prediction: Prediction, work: KindOfWork) -> str:
    return (
        f"{prediction.seconds(work):.1f} s for a {work.name} (load {prediction.load_s:.1f} s, "
        f"first prompt {prediction.cold_s:.1f} s more, {1 / prediction.prompt_s:.0f} prompt "
        f"tokens a second, {prediction.token_s * 1000:.0f} ms a token, "
        f"{prediction.memory / _GB:.1f} GB)"
    )


def _summary(taken: Probed, probed: Sequence[Probed], work: KindOfWork) -> str:
    """Against the best of the others."""
    others = [one for one in probed if one is not taken]
    best = min(others, key=lambda one: _seconds(one, work))
    if taken.prediction is None:
        return f"{_name(taken)}, by the documented order: {taken.why}"
    if best.prediction is None:
        return f"{_name(taken)}; {_name(best)} is passed over: {best.why}"
    times = _seconds(best, work) / _seconds(taken, work)
    other = RUNTIMES.title(best.runtime) if best.device == taken.device else _name(best)
    how = "as fast as" if abs(times - 1) <= NOISE else f"{times:.1f} times as fast as"
    return f"{_name(taken)}: {how} {other} here"


def _name(one: Probed) -> str:
    return f"{one.device.lower()} through {RUNTIMES.title(one.runtime)}"
