"""``aipc embed``: texts in, a vector of each out."""

from __future__ import annotations

import click

from aipc.cli.answering.stdin import STDIN, check_text, read_all
from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.arguments.model_parameter import model_option, require_model
from aipc.cli.arguments.session_flags import reader_flags
from aipc.cli.screen.output import write_json
from aipc.cli.screen.progress_bar import display
from aipc.errors import UsageError


@click.command(cls=SectionedCommand)
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@model_option
@click.option(
    "--prompt",
    metavar="NAME",
    help="What the texts are: query, document, or another prompt that the model's files state.",
)
@click.option(
    "--dimensions", type=click.IntRange(1), metavar="N", help="Shorten vectors, where they may be."
)
@click.option(
    "--truncate", is_flag=True, help="Leave out the end of a text that is too long, and say so."
)
@reader_flags
def embed(
    texts: tuple[str, ...],
    model: str | None,
    prompt: str | None,
    dimensions: int | None,
    truncate: bool,
    device: str,
    runtime: str,
) -> None:
    """Print the vector of each TEXT, a JSON array a line; without one, of each line of stdin."""
    name = require_model(model, "aipc embed TEXT")
    wanted = lines_of(texts)
    from aipc.session.encoders.embed import embedder

    with display() as shown:
        made = embedder(name, device=device, runtime=runtime, progress=shown, notify=shown.notice)
    with made:
        for vector in made.embed(wanted, prompt=prompt, dimensions=dimensions, truncate=truncate):
            write_json(vector.tolist())


def lines_of(texts: tuple[str, ...]) -> list[str]:
    """The texts, or the lines of stdin that are not empty.

    Raises:
        UsageError: there is none.
    """
    given = [check_text(text) for text in texts if text != STDIN]
    found = given or [line for line in read_all().splitlines() if line.strip()]
    if not found:
        raise UsageError("there is no text", 'write one: aipc embed "..."; or pipe lines in')
    return found
