"""``aipc eval``: how good a model's answers are, and how much of its float original it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.arguments.command import SectionedCommand, section
from aipc.cli.arguments.model_parameter import adapter_flag, model_parameter
from aipc.cli.arguments.option_flags import flags_of, given
from aipc.cli.arguments.session_flags import loading_flags, open_session
from aipc.cli.screen.output import notice, write_json, write_line
from aipc.cli.screen.progress_bar import display
from aipc.measure.quality.passages import Cut, read_passages

if TYPE_CHECKING:
    from aipc.measure.quality.degenerate import AnswerChecks
    from aipc.measure.quality.evaluation import Evaluation
    from aipc.measure.quality.quality import Quality
    from aipc.measure.quality.tasks import Scores
    from aipc.measure.statistics import Interval

_LABEL = 16  # columns that the longest label and its space take


@click.command(cls=SectionedCommand)
@model_parameter(is_required=True)
@adapter_flag
@click.option(
    "--against",
    metavar="MODEL",
    help="The reference; without it, the checkpoint that MODEL was made from; none: no reference.",
)
@click.option(
    "--text", metavar="FILE", default="builtin", help="Judge on this text, not on the builtin one."
)
@section("Measurement", flags_of(Cut))
@click.option("--tasks/--no-tasks", default=True, help="Have it answer questions too.")
@loading_flags
@click.option("--json", "wants_json", is_flag=True, help="One JSON object with every figure.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep the result in a new JSON file.",
)
def eval(  # noqa: A001 - the command's name
    model: str,
    against: str | None,
    text: str,
    tasks: bool,
    wants_json: bool,
    output: Path | None,
    **flags: Any,
) -> None:
    """Judge MODEL: perplexity, divergence from its float original, right answers, loops.

    The first time the original is converted to 16 bits, and its scores are kept: that takes the
    longest. What was found is recalled where nothing it depends on has changed.
    """
    cut = given(Cut, flags, Cut())
    from aipc.measure.quality import evaluation
    from aipc.measure.quality.quality import EvaluationText
    from aipc.models import names
    from aipc.models.store import Store

    if names.split(model)[1]:
        names.resolve(model)  # refuses an adapter beside an artifact, whose scores have none
    exam = EvaluationText(read_passages(text), cut or Cut())
    with display() as progress:
        found = evaluation.evaluate(
            lambda: open_session({"model": model, **flags}, progress),
            evaluation.EvaluationOptions(exam, against, tasks=tasks),
            Store(),
            progress,
            progress.notice,
        )
    if output is not None:
        evaluation.write(found, output)
    _show(found, wants_json=wants_json)


def _show(found: Evaluation, *, wants_json: bool) -> None:
    if wants_json:
        from aipc import records

        write_json(records.plain(found))
        return
    for line in _lines(found):
        write_line(line)
    if found.quality is not None:
        notice(_basis(found.quality))


def _lines(found: Evaluation) -> Iterator[str]:
    if found.quality is not None:
        yield from _quality_lines(found.quality)
    if found.agreement is not None:
        share = _number(found.agreement.top1, ".1%")
        yield _line("same top token", f"{share}, estimated from {found.agreement.places} answers")
    if found.tasks is not None:
        yield from _task_lines(found.tasks)
    if found.answers is not None:
        yield from _answer_lines(found.answers)


def _quality_lines(quality: Quality) -> Iterator[str]:
    yield _line("perplexity", _number(quality.perplexity, ".2f"))
    if quality.kl is None or quality.top1 is None or quality.top5 is None:
        return
    if quality.perplexity_ratio is not None:
        yield _line("", f"{_number(quality.perplexity_ratio, '.3f')} times the reference's")
    yield _line("KL divergence", f"{_number(quality.kl, '.4f')} nats from the reference")
    if len(quality.kl_by_passage) > 1:
        parts = (f"{name} {value:.4f}" for name, value in quality.kl_by_passage.items())
        yield _line("", ", ".join(parts))
    yield _line("same top token", _number(quality.top1, ".1%"))
    yield _line("", f"{_number(quality.top5, '.1%')} among the reference's five likeliest")


def _task_lines(tasks: Scores) -> Iterator[str]:
    right = sum(outcome.right for outcome in tasks.outcomes)
    interval = f"({tasks.share.low:.0%} to {tasks.share.high:.0%})"
    yield _line("right answers", f"{right} of {len(tasks.outcomes)} {interval}")
    for kind, (good, total) in tasks.by_kind.items():
        yield _line("", f"{good} of {total} in {kind}")


def _answer_lines(checks: AnswerChecks) -> Iterator[str]:
    flawed = checks.flawed
    total = len(checks.answers)
    yield _line("open answers", f"{total - len(flawed)} of {total} without a flaw")
    yield _line("", f"{checks.repeated:.0%} of their runs of 4 tokens came before")
    for answer in flawed:
        yield _line("", f"{' and '.join(answer.flaws)}: {answer.prompt}")


def _basis(quality: Quality) -> str:
    """The texts, the runtime and the device that the figures are from."""
    text = quality.text
    numerics = ", ".join(f"{k}={v}" for k, v in quality.scored.get("numerics", {}).items())
    return (
        f"{sum(text.places.values()):,} places of {' and '.join(text.names)}, each after "
        f"{text.overlap} to {text.window - 1} tokens but at its start; brackets hold 95%; "
        f"computed by {quality.scored['runtime']} on {quality.scored['device']}"
        f"{f' with {numerics}' if numerics else ''}"
    )


def _number(interval: Interval, form: str) -> str:
    return f"{interval.middle:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def _line(label: str, text: str) -> str:
    return f"{label:{_LABEL}}{text}"
