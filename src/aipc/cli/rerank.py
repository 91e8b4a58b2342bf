"""``aipc rerank``: which lines of a file answer a query, the best first."""

from __future__ import annotations

from pathlib import Path

import click

from aipc.cli.answering.stdin import STDIN, check_text, read_all
from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.arguments.model_parameter import model_option, require_model
from aipc.cli.arguments.session_flags import reader_flags
from aipc.cli.screen.output import write_json, write_line
from aipc.cli.screen.progress_bar import display
from aipc.errors import UsageError


@click.command(cls=SectionedCommand)
@click.argument("query")
@click.argument("file", default=STDIN)
@model_option
@click.option(
    "--top-n", type=click.IntRange(1), metavar="N", help="Lines to print; all without it."
)
@click.option(
    "--json", "wants_json", is_flag=True, help="A JSON object a line: index, score, text."
)
@reader_flags
def rerank(
    query: str,
    file: str,
    model: str | None,
    top_n: int | None,
    wants_json: bool,
    device: str,
    runtime: str,
) -> None:
    """Print the lines of FILE by how well they answer QUERY, each with its score.

    Without a FILE, or with -, those of stdin.
    """
    name = require_model(model, "aipc rerank QUERY FILE")
    query, documents = check_text(query), _lines(file)
    from aipc.session.encoders.rerank import reranker

    with display() as shown:
        made = reranker(name, device=device, runtime=runtime, progress=shown, notify=shown.notice)
    with made:
        ranks = made.rank(query, documents, top_n=top_n)
    for one in ranks:
        text = documents[one.index]
        if wants_json:
            write_json({"index": one.index, "score": one.score, "text": text})
        else:
            write_line(f"{one.score:.4f}  {text}")


def _lines(file: str) -> list[str]:
    """Those that are not empty.

    Raises:
        UsageError: there is none, or the file can't be read.
    """
    try:
        text = read_all() if file == STDIN else Path(file).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = f"'{file}' can't be read as UTF-8 text"
        raise UsageError(what, "name a file with a document a line") from error
    found = [line for line in text.splitlines() if line.strip()]
    if not found:
        raise UsageError("there are no documents", "give a file with one a line, or pipe them in")
    return found
