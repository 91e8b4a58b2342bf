"""``aipc batch``: many prompts from a file, answered in a file; gone on with when it is stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aipc import units
from aipc.batch.options import BatchOptions
from aipc.batch.ray.options import HERE, ClusterOptions
from aipc.cli.arguments.command import SectionedCommand, section
from aipc.cli.arguments.model_parameter import adapter_flag, model_option
from aipc.cli.arguments.option_flags import flags_of, given
from aipc.cli.arguments.session_flags import loading_flags, plain_loading, sampling_of
from aipc.cli.screen.batch_display import batch_display
from aipc.cli.screen.output import STOPPED, notice, write_json
from aipc.errors import UsageError
from aipc.options import describe
from aipc.runtimes.sampling import Sampling

if TYPE_CHECKING:
    from aipc.batch.runner import BatchSummary


@click.command(cls=SectionedCommand)
@click.argument("source", metavar="IN", type=click.Path(path_type=Path, allow_dash=True))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@model_option
@adapter_flag
@section("Batch", flags_of(BatchOptions))
@click.option("--system", metavar="TEXT", help="Of prompts: a system message before each.")
@section("Sampling", flags_of(Sampling))
@loading_flags
@click.option(
    "--ray",
    is_flag=False,
    flag_value=HERE,
    metavar="[ADDRESS]",
    help="Answered by a Ray cluster: HOST:PORT of its head, or auto on a node of one; without an "
    "address Ray is started here. Behind IN and OUT.",
)
@section("Batch", flags_of(ClusterOptions))
@click.option("--json", "wants_json", is_flag=True, help="What became of it, as JSON on stdout.")
def batch(
    source: Path, out: Path, model: str | None, system: str | None, wants_json: bool, **flags: Any
) -> None:
    """Answer all lines of IN into OUT, as many at once as the engine batches.

    IN has OpenAI's batch format: a JSON object a line with custom_id, method, url (chat,
    completions, responses or embeddings) and body. A .txt file has a prompt a line, and with
    --prompt-column IN is a table of prompts: .jsonl, .csv or .parquet; sampling flags and --system
    are for prompts. "-" reads from stdin.

    MODEL answers every line, whatever the line names. Every line is checked before the first is
    asked. Stopped or killed at any moment, the same
    command goes on where it was. Exit status: 0 all answered, 1 some failed or are left, 2 lines
    that can't be asked, 130 stopped by Ctrl-C.
    """
    options = given(BatchOptions, flags) or BatchOptions()
    cluster = given(ClusterOptions, flags)
    if cluster is not None and flags["ray"] is None:
        names = ", ".join(declared.flag for declared in describe(ClusterOptions))
        raise UsageError(f"{names} are for a cluster", "give --ray too, or leave them out")
    flags["cluster"] = cluster
    summary = _run(source, out, model, options, system, flags)
    _tell(summary, wants_json=wants_json)
    if summary.stop_signal == signal.SIGINT:
        raise click.exceptions.Exit(STOPPED)
    if not summary.is_whole:
        raise click.exceptions.Exit(1)


def _run(
    source: Path,
    out: Path,
    model: str | None,
    options: BatchOptions,
    system: str | None,
    flags: dict[str, Any],
) -> BatchSummary:
    from aipc.batch.runner import run

    with _tidying_up(), batch_display() as shown, _listing_faults():
        return run(
            None if str(source) == "-" else source,
            out,
            model,
            options,
            members=_members(flags),
            system=system or "",
            progress=shown.progress,
            notify=shown.notice,
            show_counts=shown.show_counts,
            heeds_signals=True,
            ray=flags["ray"],
            cluster=flags["cluster"],
            **plain_loading({**flags, "work": "serve"}),
        )


@contextmanager
def _tidying_up() -> Iterator[None]:
    """SIGTERM acts as Ctrl-C where no line is asked yet, so that no copy of the prompts is left."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _listing_faults() -> Iterator[None]:
    """An error that lists lines: each in a line of its own, the error itself last."""
    try:
        yield
    except UsageError as error:
        what, *lines = error.what.splitlines()
        for line in lines:
            notice(line)
        raise UsageError(what.rstrip(":"), error.fix) from error


def _tell(summary: BatchSummary, *, wants_json: bool) -> None:
    if wants_json:
        facts = {**asdict(summary), "tokens_per_s": summary.tokens_per_s}
        write_json(facts)
        return
    answered = summary.answered + summary.failed
    rate = f"{summary.generated:,} tokens, {summary.tokens_per_s:,.0f} a second"
    told = f"{units.count(answered, 'line')} in {timedelta(seconds=round(summary.seconds))}"
    notice(f"{told}: {rate}" if summary.generated else told)
    if summary.left:
        notice(
            f"{summary.stopped}: {units.count(summary.left, 'line')} left; the same command goes on"
        )
        return
    if summary.errors:
        fix = "; --retry-failed asks them again" if summary.failures else ""
        notice(f"failures: {summary.errors}{fix}")
    notice(f"answers: {summary.out}")


def _members(flags: dict[str, Any]) -> dict[str, Any]:
    """The sampling flags as members of a chat's body."""
    sampling = sampling_of(flags)
    limit = sampling.pop("max_new_tokens", None)
    return sampling if limit is None else {**sampling, "max_tokens": limit}
