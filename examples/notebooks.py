"""Write each example that is made of cells as a notebook too, beside it.

python examples/notebooks.py

A cell begins at "# %%", one of text at "# %% [markdown]"; the docstring is the first.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

EXAMPLES = Path(__file__).parent
CELL = "# %%"
TEXT = "# %% [markdown]"


def notebook_of(script: str) -> str:
    """The notebook of a script in cells, as JSON of nbformat 4.5, without outputs."""
    docstring = ast.get_docstring(ast.parse(script)) or ""
    cells = [text_cell("```text\n" + docstring + "\n```")]
    cells += [cell_of(part) for part in script.split(f"\n{CELL}")[1:]]
    numbered = [{"id": f"cell-{number}", **cell} for number, cell in enumerate(cells)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    notebook = {"cells": numbered, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def cell_of(part: str) -> dict[str, object]:
    mark, _, body = part.partition("\n")
    if f"{CELL}{mark}" == TEXT:
        return text_cell("\n".join(line[2:] for line in body.strip().splitlines()))
    source = body.strip().splitlines(keepends=True)
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": source,
    }


def text_cell(text: str) -> dict[str, object]:
    source = text.splitlines(keepends=True)
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def scripts() -> list[Path]:
    """The examples that are made of cells."""
    return [
        path
        for path in sorted(EXAMPLES.glob("*.py"))
        if f"\n{CELL}\n" in path.read_text("utf-8") and path != Path(__file__)
    ]


if __name__ == "__main__":
    for script in scripts():
        notebook = notebook_of(script.read_text("utf-8"))
        script.with_suffix(".ipynb").write_text(notebook, "utf-8")
