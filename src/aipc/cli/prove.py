"""``aipc prove``: try every device of this machine, and make a file to attach to an issue."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.answering.stdin import is_terminal
from aipc.cli.arguments.option_flags import flags_of, given
from aipc.cli.screen.output import notice, write
from aipc.cli.screen.progress_bar import display
from aipc.devices.device import NAMES
from aipc.errors import UsageError
from aipc.measure.prove.options import FULL_MINUTES, MINUTES, ProofOptions

if TYPE_CHECKING:
    from aipc.measure.prove.record import MachineProof

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("model", required=False)
@flags_of(ProofOptions)
@click.option(
    "--full", is_flag=True, help="Try Phi-3-mini in place of the small model; 15 minutes."
)
@click.option(
    "--device",
    default="auto",
    metavar="NAME",
    help=f"Beside the CPU, this one alone: {', '.join(NAMES)}.",
)
@click.option("--runtime", default="auto", metavar="NAME", help="auto, openvino or onnx.")
@click.option("--emulate", is_flag=True, help="Try the NPU's pipeline on the CPU too; slow.")
@click.option(
    "-o", "--output", type=_FOLDER, default=".", metavar="DIR", help="Where the two files go."
)
@click.option("--yes", is_flag=True, help="Write the files without asking.")
def prove(
    model: str | None,
    full: bool,
    device: str,
    runtime: str,
    emulate: bool,
    output: Path,
    yes: bool,
    **flags: Any,
) -> None:
    """Try every device through every runtime, and say of each: ok, wrong, slow or not placed.

    Takes some five minutes. MODEL is the small default where it is left out. Answers are judged by
    the CPU, after prompts of 16 to 2,000 tokens. What is written, JSON and Markdown, holds nothing
    personal: no path, no user's or host's name, no serial number. It is shown before that, whole.
    """
    options = given(ProofOptions, flags) or ProofOptions(FULL_MINUTES if full else MINUTES)
    if full and model is not None:
        raise UsageError("--full names the model", "leave MODEL or --full out")
    if not yes and not is_terminal():
        raise UsageError("nobody is here to be asked whether to write the files", "give --yes")
    from aipc.measure.prove.prove import FULL_MODEL, Prover
    from aipc.models.store import Store

    with display() as progress:
        prover = Prover(Store(), options, progress, progress.notice)
        proof = prover.prove(
            FULL_MODEL if full else model, device=device, runtime=runtime, emulate=emulate
        )
    _write(proof, output, asks=not yes)


def _write(proof: MachineProof, folder: Path, *, asks: bool) -> None:
    """Show both files, and write them if that is wanted."""
    from aipc.measure.prove.record import to_json
    from aipc.measure.prove.summary import file_stem, summary
    from aipc.records import write_new

    page, figures = _free(folder, file_stem(proof))
    write(f"{summary(proof)}\n{figures.name}:\n{to_json(proof)}")
    if asks and not click.confirm("That is all that the files hold. Write them?", err=True):
        notice("nothing was written")
        return
    for file, text in ((figures, to_json(proof)), (page, summary(proof))):
        write_new(file, text, "it is never overwritten: name another folder with -o")
        notice(f"written: {file}")
    notice("attach both to an issue; `aipc report --hardware DIR` makes a page of such files")


def _free(folder: Path, stem: str) -> tuple[Path, Path]:
    """The page and the figures, under a name that neither has yet."""
    names = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
    pairs = ((folder / f"{name}.md", folder / f"{name}.json") for name in names)
    return next(pair for pair in pairs if not any(file.exists() for file in pair))
