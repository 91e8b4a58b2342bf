"""What a tuning found, as a table for people."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aipc.cli.output import columns, write_line, write_table
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
        _write_folded(f"not compared, {why}: {'; '.join(map(str, setups))}")
    write_line()
    _write_folded(f"chosen for {tuned.goal}: {tuned.setup}")
    _write_folded(f"{outcome.verdict}; measured in {outcome.seconds:.0f} s")
    _write_folded(f"The same without tuning: {tuned.setup.flags}")


def _by_reason(skipped: Sequence[Skipped]) -> dict[str, list[Setup]]:
    """Setups that were left out, by why; "no time was left for it" may be many."""
    grouped: dict[str, list[Setup]] = {}
    for one in skipped:
        grouped.setdefault(one.why, []).append(one.setup)
    return grouped


def _write_folded(line: str) -> None:
    folded = textwrap.wrap(
        line, columns(), subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )
    for part in folded:
        write_line(part)


def _extra_columns(tuned: Tuned) -> Sequence[str]:
    told = [trial.figures for trial in tuned.trials]
    columns = (
        ("TOKENS/S", any(figures.tokens_per_s is not None for figures in told)),
        ("J/TOKEN", any(figures.joules_per_token is not None for figures in told)),
        ("KL", any(figures.kl is not None for figures in told)),
    )
    return [name for name, is_told in columns if is_told]


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
        *(_figure(extra[name]) for name in _extra_columns(tuned)),
        amount(figures.nbytes),
        f"{figures.runs}{spread}",
        str(trial.setup),
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
