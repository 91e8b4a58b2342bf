"""``aipc tune``: measure what runs a model best here, and keep to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.arguments.command import SectionedCommand, section
from aipc.cli.arguments.exclusions import refuse_beside
from aipc.cli.arguments.model_parameter import adapter_flag, model_parameter
from aipc.cli.arguments.option_flags import flags_of, given
from aipc.cli.screen.output import notice, write_folded, write_json, write_line, write_table
from aipc.cli.screen.progress_bar import display
from aipc.devices.device import NAMES
from aipc.errors import UsageError
from aipc.measure.tune.goal import GOALS, TuneOptions
from aipc.units import amount

if TYPE_CHECKING:
    from aipc.choose.measured import Trial, Tuned
    from aipc.choose.setup import Setup
    from aipc.measure.tune.tune import Tuning
    from aipc.measure.tune.verdict import Skipped


def write_tuning(tuning: Tuning) -> None:
    """Every candidate with its figures, then the choice and why."""
    outcome, tuned = tuning.outcome, tuning.tuned
    write_table(
        ("", "FIRST", "A TOKEN", *_extra_columns(tuned), "SIZE", "RUNS", "SETUP"),
        [_trial_row(trial, tuned) for trial in outcome.trials],
        {"FIRST", "A TOKEN", "SIZE", "RUNS", *_extra_columns(tuned)},
    )
    write_line()
    write_line("> the choice, = the default choice, * on the frontier of time, size and quality")
    for why, setups in _by_reason(outcome.skipped).items():
        write_folded(f"not compared, {why}: {'; '.join(map(str, setups))}")
    write_line()
    write_folded(f"chosen for {tuned.goal}: {tuned.setup}")
    write_folded(f"{outcome.verdict}; measured in {outcome.seconds:.0f} s")
    if tuning.is_kept:
        write_folded(f"The same without tuning: {tuned.setup.flags}")
    else:
        write_folded("nothing was compared, and nothing is kept; a longer --budget compares more")


def _by_reason(skipped: Sequence[Skipped]) -> dict[str, list[Setup]]:
    """Setups that were left out, by reason; "no time was left for it" may have many."""
    grouped: dict[str, list[Setup]] = {}
    for one in skipped:
        grouped.setdefault(one.why, []).append(one.setup)
    return grouped


def _extra_columns(tuned: Tuned) -> Sequence[str]:
    measured = [trial.figures for trial in tuned.trials]
    columns = (
        ("TOKENS/S", any(figures.tokens_per_s is not None for figures in measured)),
        ("J/TOKEN", any(figures.joules_per_token is not None for figures in measured)),
        ("KL", any(figures.kl is not None for figures in measured)),
    )
    return [name for name, is_measured in columns if is_measured]


def _trial_row(trial: Trial, tuned: Tuned) -> tuple[str, ...]:
    figures = trial.figures
    extra = {
        "TOKENS/S": figures.tokens_per_s,
        "J/TOKEN": figures.joules_per_token,
        "KL": figures.kl,
    }
    spread = "" if figures.spread is None else f" ±{figures.spread:.0%}"
    marks = (
        (">", trial.setup == tuned.setup),
        ("=", trial.setup == tuned.trials[0].setup),
        ("*", trial.frontier),
    )
    return (
        "".join(mark if holds else " " for mark, holds in marks),
        f"{figures.first_token_s:.2f} s",
        f"{figures.token_s * 1000:.1f} ms",
        *("-" if extra[name] is None else f"{extra[name]:.3g}" for name in _extra_columns(tuned)),
        amount(figures.nbytes),
        f"{figures.runs}{spread}",
        str(trial.setup),
    )


@click.command(cls=SectionedCommand)
@model_parameter()
@adapter_flag
@click.option(
    "--for",
    "goal",
    type=click.Choice(GOALS),
    default="latency",
    show_default=True,
    help="What the choice is made for: the time of one answer, eight answers at once, energy a "
    "token, or the least loss of quality at about the default's speed.",
)
@section("Measurement", flags_of(TuneOptions))
@click.option("--device", default="auto", metavar="NAME", help=f"One of {', '.join(NAMES)}.")
@click.option("--runtime", default="auto", metavar="NAME", help="auto, openvino or onnx.")
@click.option("--list", "wants_list", is_flag=True, help="Show what was tuned on this computer.")
@click.option("--forget", is_flag=True, help="Go back to the default choice for MODEL.")
@click.option("--json", "wants_json", is_flag=True, help="One JSON object with every figure.")
def tune(
    model: str | None,
    goal: str,
    device: str,
    runtime: str,
    wants_list: bool,
    forget: bool,
    wants_json: bool,
    **flags: Any,
) -> None:
    """Try runtimes, devices, weights and properties for MODEL, and keep the best.

    Every later `aipc run -m MODEL` then takes it and shows it with --explain; flags given there
    win. What was measured counts until the processor, a driver or a runtime's version changes.
    """
    options = given(TuneOptions, flags)
    if wants_list:
        refuse_beside("--list", {"wants_list", "wants_json"})
        _list(wants_json=wants_json)
        return
    if model is None:
        raise UsageError("no model was named", "write `aipc tune MODEL`, or `aipc tune --list`")
    if forget:
        refuse_beside("--forget", {"forget", "model", "model_argument"})
        _forget(model)
        return
    from aipc.measure.tune.tune import tune as measure

    try:
        with display() as progress:
            tuning = measure(
                model,
                goal,
                options,
                device=device,
                runtime=runtime,
                progress=progress,
                notify=progress.notice,
            )
    except KeyboardInterrupt:
        notice("interrupted: nothing is kept, and sessions go on as before")
        raise
    if wants_json:
        write_json(_facts(tuning))
    else:
        write_tuning(tuning)


def _list(*, wants_json: bool) -> None:
    from dataclasses import asdict

    from aipc.choose.measured import Records
    from aipc.models.store import Store

    found, wrong = Records(Store().tuned).all()
    if wants_json:
        write_json({"tuned": [asdict(one) for one in found]})
    elif found:
        rows = [_row(one) for one in found]
        write_table(("FOR", "DATE", "GAIN", "DEVICE", "WEIGHTS", "MODEL"), rows, {"GAIN"})
    else:
        notice("nothing is tuned; `aipc tune MODEL` measures")
    for error in wrong:
        notice(f"problem: {error}")


def _row(tuned: Tuned) -> tuple[str, ...]:
    setup = tuned.setup
    return (
        f"{tuned.goal} {'' if tuned.work.kind == 'plain' else tuned.work.kind}".strip(),
        tuned.when[:10],
        f"{tuned.gain:.2f}",
        f"{setup.device.lower()} {setup.runtime}",
        setup.weights,
        tuned.label,
    )


def _forget(model: str) -> None:
    from aipc.choose.measured import Records
    from aipc.models import names
    from aipc.models.store import Store

    Records(Store().tuned).forget(names.resolve(model).name)
    notice(f"forgotten; {model} runs as the default order and the rules have it")


def _facts(tuning: Tuning) -> dict[str, Any]:
    from dataclasses import asdict

    outcome = tuning.outcome
    return {
        **asdict(tuning.tuned),
        "default": asdict(outcome.default),
        "verdict": outcome.verdict,
        "skipped": [asdict(one) for one in outcome.skipped],
        "seconds": outcome.seconds,
        "kept": tuning.is_kept,
    }
