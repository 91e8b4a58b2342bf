"""The Markdown of a `cuda_check` run: its steps, then what each of them found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def summary(results: dict[str, Any]) -> str:
    """``results`` is results.json's content."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: dict[str, Any]) -> Iterator[str]:
    yield f"# aipc on `{results['device']}`, {results['created']}"
    yield ""
    yield f"{results['seconds']:.0f} s of at most {60 * results['minutes']:.0f}."
    if results["device"] == "cpu":
        yield "A rehearsal: nothing here was computed by a GPU."
    if results["layers"] != 32:
        yield f"The model of Phi-3-mini's size has {results['layers']} of its 32 layers."
    yield ""
    rows = [
        (one["name"], one["what"], one["outcome"], f"{one['seconds']:.1f}", f"{one['limit']:.0f}",
         one["why"])
        for one in results["steps"]
    ]  # fmt: skip
    yield from table(("step", "what", "outcome", "s", "at most", "why"), rows)
    for one in results["steps"]:
        for found in (one["result"] or {}).get("tables", ()):
            yield ""
            yield f"## {one['name']}: {found['title']}"
            yield ""
            yield from table(found["header"], found["rows"])
        for note in (one["result"] or {}).get("notes", ()):
            yield ""
            yield f"{one['name']}: {note}"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    yield _row(header)
    yield _row(["---"] * len(header))
    yield from map(_row, rows)


def _row(cells: Sequence[Any]) -> str:
    written = (" ".join(str("-" if cell is None else cell).split()) for cell in cells)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in written) + " |"
