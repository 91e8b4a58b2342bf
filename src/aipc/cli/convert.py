"""``aipc convert``: from a model to an artifact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.arguments.model_parameter import adapter_flag, model_parameter
from aipc.cli.arguments.option_flags import given
from aipc.cli.arguments.session_flags import recipe_flags
from aipc.cli.screen.output import notice, notice_folded, write_json, write_line
from aipc.cli.screen.progress_bar import display
from aipc.convert.quality import FIGURES_PARAMETERS, ConversionQuality, stated_reading
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.units import amount, nats

if TYPE_CHECKING:
    from aipc.session.convert import Converted


@click.command(cls=SectionedCommand)
@model_parameter(is_required=True)
@adapter_flag
@recipe_flags
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write it here; without it, into the store.",
)
@click.option(
    "--runtime",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="The runtime that opens it: openvino or onnx; auto: openvino, or what the device needs.",
)
@click.option(
    "--for",
    "target",
    default="cpu",
    show_default=True,
    metavar="DEVICE",
    help="The device that it is meant for: cpu, gpu, npu (OpenVINO), cuda, directml, webgpu (ONNX "
    "Runtime; it has cpu as well). It sets the flags not given.",
)
@click.option(
    "--activations",
    type=click.Choice(["fp16", "fp32"]),
    help="What it computes in, with --for webgpu: fp16, or fp32 for devices that lack it (as "
    "`aipc devices` lists them). Left out: fp16.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Compare its next tokens with the float model's, on a text of a few hundred (of a model "
    "that writes none its vectors or scores); what is broken is not kept.",
)
@click.option("--json", "wants_json", is_flag=True, help="One JSON object: path, size, facts.")
def convert(
    model: str,
    output: Path | None,
    runtime: str,
    target: str,
    activations: str | None,
    check: bool,
    wants_json: bool,
    **flags: Any,
) -> None:
    """Make an artifact from MODEL and print its path."""
    own = find_target(target, runtime).recipe
    is_own_format = flags["weight_format"] in {None, own.weight_format}
    recipe = given(Recipe, flags, own if is_own_format else None)
    from aipc.measure.quality.check import TextCheck
    from aipc.session import convert

    with display() as progress:
        made = convert.convert(
            model,
            None if recipe is own else recipe,
            target=target,
            output=output,
            runtime=runtime,
            activations=activations or "",
            check=TextCheck() if check else None,
            progress=progress,
            notify=progress.notice,
        )
    if wants_json:
        write_json(_facts(made))
        return
    for note in made.notes:
        notice(note)
    made_when = "made before" if made.reused else f"made in {made.seconds:.1f} s"
    notice(f"{made_when}: {amount(made.nbytes)}")
    for line in _quality_lines(made):
        notice_folded(line)
    write_line(str(made.path))


def _quality_lines(made: Converted) -> Iterator[str]:
    quality, reading = made.quality, stated_reading(made.facts)
    if reading is not None:
        yield f"quality: {reading} (measured on {reading.texts} texts)"
    elif quality is not None:
        yield _quality_line(quality)
    elif "quality" in made.facts:
        yield "quality: nobody has measured this recipe; --check measures it on this model"
    if made.better:
        yield f"better: {made.better}"


def _quality_line(quality: ConversionQuality) -> str:
    """What to expect of an artifact, and where that is from."""
    figures = (
        f"{quality.same_top:.0%} of next tokens stay the likeliest, KL {nats(quality.kl)} nats"
    )
    if quality.measured:
        return f"quality: {figures} (measured on {quality.tokens} tokens)"
    size = f"{FIGURES_PARAMETERS / 1e9:.1f} billion weights"
    return (
        f"quality to expect: {figures} (as on a model of {size}; larger ones mostly lose less; "
        "--check measures this one)"
    )


def _facts(made: Converted) -> dict[str, Any]:
    return {
        "path": str(made.path),
        "nbytes": made.nbytes,
        "seconds": made.seconds,
        "reused": made.reused,
        "better": made.better,
        "facts": made.facts,
    }
